/**
 * A soak of reloads: `npm run soak:reload -- --minutes 20` (fractions allowed). One reload follows the other under load
 * while workers stand still for 1 to 5 s; after each, every reader must have all that was accepted. It exits with 1 if
 * anything was lost or reset.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { eventually, startHub } from '../../test/support.ts';
import { AcceptedMessages, standStill, writeHandlers } from './accepted.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
});
const durationMs = Number(values.minutes) * 60_000;
if (!(durationMs > 0)) throw new Error('--minutes must be a number above 0');

const folder = mkdtempSync(join(tmpdir(), 'wshub-soak-'));
const hub = await startHub({
  env: { WSHUB_HANDLERS: writeHandlers(folder), WSHUB_DRAIN_SPREAD_MS: '1000', WSHUB_LOG_LEVEL: 'info' },
});
const messages = new AcceptedMessages(hub);
await messages.start();
let over = false;
const standing = standStill(hub, Number(values.seed), 5_000, () => over);
const startedAt = performance.now();
let reloads = 0;
let accepted = 0;
const lost: string[] = [];
while (performance.now() - startedAt < durationMs) {
  hub.signal('SIGHUP');
  reloads += 1;
  const done = () => hub.log.filter(({ msg }) => msg === 'reload done').length >= reloads || undefined;
  await eventually(done, 'the end of the reload');
  lost.push(...(await messages.missing()));
  accepted += messages.count;
  messages.forget();
}
over = true;
const stops = await standing;
await messages.stop();
await hub.end();
rmSync(folder, { recursive: true });
process.stdout.write(
  `${accepted} accepted, ${lost.length} lost, ${messages.faults.length} requests without an answer, ${reloads} reloads, ` +
    `${stops} standstills, ${messages.polls} polls of /state\n`,
);
for (const fault of [...lost, ...messages.faults].slice(0, 20)) process.stdout.write(`${fault}\n`);
process.exit(lost.length + messages.faults.length > 0 || accepted * stops === 0 ? 1 : 0);
