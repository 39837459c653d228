import { maxKeyBytes } from './frame.ts';

/** Whether the broker can store the key: 1 to 255 bytes of UTF-8. */
export function isIdempotencyKey(key: unknown): key is string {
  // Different texts that are not well-formed, or not UTF-8, would be stored as the same key.
  if (typeof key !== 'string' || key === '' || !key.isWellFormed() || key.includes('\ufffd')) return false;
  return Buffer.byteLength(key) <= maxKeyBytes;
}
