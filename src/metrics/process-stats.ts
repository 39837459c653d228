/** Statistics of this process: CPU, memory, descriptors, garbage collector pauses, event loop lag. */
import { readdirSync } from 'node:fs';
import {
  constants,
  monitorEventLoopDelay,
  performance,
  PerformanceObserver,
  type PerformanceEntry,
} from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { coarseBuckets, Histogram } from './histogram.ts';
import { knownDescriptorLimit } from '../platform/descriptors.ts';
import { logLines } from '../platform/log-output.ts';
import type { MetricFrom } from './catalogue.ts';
import { histogramSamples, single, type Sample } from './snapshot.ts';

const windowMs = 10_000;
/**
 * Period of the timer whose delay is measured, which is not part of the lag. Each wake-up costs an otherwise idle process about
 * 150 µs.
 */
const resolutionMs = 100;

/** Kinds of garbage collections, with Node's numbers. */
const gcKinds = {
  minor: constants.NODE_PERFORMANCE_GC_MINOR,
  major: constants.NODE_PERFORMANCE_GC_MAJOR,
  incremental: constants.NODE_PERFORMANCE_GC_INCREMENTAL,
  weakcb: constants.NODE_PERFORMANCE_GC_WEAKCB,
} as const;

/** An entry of type `gc`; @types/node lacks its `detail`. */
type GcEntry = PerformanceEntry & { detail: { kind: number } };

type Samples = Record<MetricFrom<'process'>, Sample[]>;
type Growing = 'nodejs_gc_duration_seconds' | 'process_cpu_seconds_total' | 'wshub_log_lines_dropped_total';

export class ProcessStats {
  readonly #gc = new Map<number, Histogram>();
  readonly #delay = monitorEventLoopDelay({ resolution: resolutionMs });
  #utilization = performance.eventLoopUtilization();
  /** values of the last complete window; null during the first one */
  #last: { lagP99: number; utilization: number } | null = null;
  readonly #maxFds = Math.min(knownDescriptorLimit() ?? 0, Number.MAX_SAFE_INTEGER);
  /** last known value; 0: unknown */
  #residentBytes = residentBytes() ?? 0;

  constructor() {
    for (const kind of Object.values(gcKinds)) this.#gc.set(kind, new Histogram(coarseBuckets));
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as GcEntry[]) {
        this.#gc.get(entry.detail.kind)?.observe(entry.duration / 1000);
      }
    }).observe({ entryTypes: ['gc'] });
    this.#delay.enable();
    setInterval(() => {
      this.#last = this.#window();
      this.#delay.reset();
      this.#utilization = performance.eventLoopUtilization();
    }, windowMs).unref();
  }

  /** 99th percentile of the timer delay over the last 10 s, in seconds. */
  get lagP99(): number {
    return (this.#last ?? this.#window()).lagP99;
  }

  /** Event loop utilization over the last 10 s. */
  get utilization(): number {
    return (this.#last ?? this.#window()).utilization;
  }

  /**
   * Resident memory. Reading it takes a descriptor (/proc/self/stat); if none is left, the last value is returned. 0: no /proc.
   */
  get residentBytes(): number {
    this.#residentBytes = residentBytes() ?? this.#residentBytes;
    return this.#residentBytes;
  }

  get heapUsedBytes(): number {
    return getHeapStatistics().used_heap_size;
  }

  /** @param worker the slot, or `primary` */
  samples(worker: string): Samples {
    return { ...this.counters(worker), ...this.gauges(worker) };
  }

  counters(worker: string): Pick<Samples, Growing> {
    const { user, system } = process.cpuUsage();
    return {
      nodejs_gc_duration_seconds: Object.entries(gcKinds).flatMap(([kind, number]) =>
        histogramSamples('nodejs_gc_duration_seconds', this.#gc.get(number) ?? new Histogram([]), { kind }),
      ),
      process_cpu_seconds_total: single((user + system) / 1e6, { worker }),
      wshub_log_lines_dropped_total: single(logLines.dropped, { worker }),
    };
  }

  gauges(worker: string): Omit<Samples, Growing> {
    const labels = { worker };
    return {
      wshub_eventloop_lag_p99_seconds: single(this.lagP99, labels),
      wshub_eventloop_utilization_ratio: single(this.utilization, labels),
      process_resident_memory_bytes: this.residentBytes === 0 ? [] : single(this.#residentBytes, labels),
      nodejs_heap_used_bytes: single(this.heapUsedBytes, labels),
      process_open_fds: single(openFds(this.#maxFds), labels),
      process_max_fds: single(this.#maxFds, labels),
    };
  }

  #window(): { lagP99: number; utilization: number } {
    const lag = this.#delay.count === 0 ? 0 : this.#delay.percentile(99) / 1e9 - resolutionMs / 1000;
    const { utilization } = performance.eventLoopUtilization(this.#utilization);
    return { lagP99: Math.max(0, lag), utilization };
  }
}

/** Null: no /proc, or no descriptor to read it. */
function residentBytes(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}

/**
 * Returns the number of open descriptors; `max` if none is left to count them; 0 without /proc.
 * @param max limit of the process
 */
function openFds(max: number): number {
  try {
    return readdirSync('/proc/self/fd').length - 1; // without the one that reads the directory
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EMFILE' ? max : 0;
  }
}
