/** Ids of connections: 128 random bits each, drawn from the system's generator for many at once. */
import { randomFillSync } from 'node:crypto';

const idBytes = 16;
const pool = Buffer.allocUnsafeSlow(256 * idBytes);
let used = pool.length;

/** One more, in base64url. */
export function connectionId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.toString('base64url', used, (used += idBytes));
}
