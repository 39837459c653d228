/** Connection ids: 128 random bits each. Random bytes are drawn from the system for many ids at once. */
import { randomFillSync } from 'node:crypto';

const idBytes = 16;
const pool = Buffer.allocUnsafeSlow(256 * idBytes);
let used = pool.length;

/** Returns a new id, in base64url. */
export function connectionId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.toString('base64url', used, (used += idBytes));
}
