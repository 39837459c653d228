// Delays in microseconds, right to three digits, small enough to send between processes. The WebAssembly build takes
// 42 ns a value where the JavaScript build takes 78: the generator shares the CPUs with the server that it measures.
import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  initWebAssembly,
} from 'hdr-histogram-js';

await initWebAssembly();

const largestUs = 2 ** 31 - 1;

export class Histogram {
  readonly #values = build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: largestUs,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: true,
  });

  record(us: number): void {
    this.#values.recordValue(Math.min(Math.max(Math.round(us), 0), largestUs));
  }

  /** @param taken by `take`, of this process or another */
  add(taken: string): void {
    const other = decodeFromCompressedBase64(taken, 32, true);
    this.#values.add(other);
    other.destroy();
  }

  /** In milliseconds; NaN when nothing was recorded. */
  quantileMs(q: number): number {
    return this.#values.totalCount === 0 ? NaN : this.#values.getValueAtPercentile(q * 100) / 1e3;
  }

  /** The values so far, encoded; the histogram is empty afterwards. */
  take(): string {
    const taken = encodeIntoCompressedBase64(this.#values);
    this.#values.reset();
    return taken;
  }
}
