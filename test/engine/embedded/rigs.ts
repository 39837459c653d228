/** The embedded engine for tests: in memory, or with files that survive its end. */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { EmbeddedEngine, type EmbeddedOptions } from '../../../src/engine/embedded/embedded-engine.ts';
import { LogStore } from '../../../src/engine/embedded/log-store.ts';
import type { HistoryRule } from '../../../src/engine/engine.ts';
import { temporaryFolder } from '../../support.ts';
import { recorder, type Rig } from '../conformance.ts';

const startTime = 1_800_000_000_000;

/** A clock that stands still until it is moved. */
export class TestClock {
  now = startTime;
  readonly read = () => this.now;
}

export function embeddedOptions(
  rule: HistoryRule,
  delivered: Rig['delivered'],
  clock: TestClock,
): EmbeddedOptions {
  return {
    rule: () => rule,
    isUsed: () => false,
    maxBytes: 64 * 1024 * 1024,
    store: null,
    events: recorder(delivered),
    clock: clock.read,
  };
}

export function memoryRig(_t: TestContext, rule: HistoryRule): Rig {
  const [delivered, clock]: [Rig['delivered'], TestClock] = [[], new TestClock()];
  const engine = new EmbeddedEngine(embeddedOptions(rule, delivered, clock));
  engine.start();
  return {
    engine,
    delivered,
    advance: (ms) => {
      clock.now += ms;
      engine.sweep();
    },
  };
}

/** A crash leaves the files as they are at that moment, with everything that the kernel took. */
export function fileRig(
  t: TestContext,
  rule: HistoryRule,
): Rig & Required<Pick<Rig, 'crash' | 'restart' | 'reboot'>> {
  const [delivered, clock, root]: [Rig['delivered'], TestClock, string] = [
    [],
    new TestClock(),
    temporaryFolder(t),
  ];
  let [lives, boots] = [1, 1];
  const folder = () => join(root, String(lives));
  const begin = () => {
    const store = new LogStore(folder(), `boot-${boots}`);
    const engine = new EmbeddedEngine({ ...embeddedOptions(rule, delivered, clock), store });
    engine.start();
    return engine;
  };
  mkdirSync(folder());
  /** The next engine works on a copy, so that the one before may still be there. */
  const next = () => {
    const before = folder();
    lives += 1;
    cpSync(before, folder(), { recursive: true });
    rmSync(before, { recursive: true });
    rig.engine = begin();
  };
  const rig = {
    engine: begin(),
    delivered,
    advance: (ms: number) => {
      clock.now += ms;
      rig.engine.sweep();
    },
    crash: () => {
      next();
      return Promise.resolve();
    },
    restart: async () => {
      await rig.engine.close();
      next();
    },
    reboot: () => {
      boots += 1;
      next();
      return Promise.resolve();
    },
  };
  return rig;
}
