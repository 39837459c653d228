/** Frames as a client sends them, right or wrong (RFC 6455 section 5.2). */

const zeros = Buffer.alloc(4);

/**
 * @param first the first byte: flags and opcode
 * @param mask the mask, with zeros the payload stands as it is; null: the frame is not masked
 */
export function clientFrame(first: number, payload: Buffer, mask: Buffer | null = zeros): Buffer {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + extended);
  head[0] = first;
  head[1] = (mask ? 0x80 : 0) | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) head.writeUInt16BE(length, 2);
  if (extended === 8) head.writeBigUInt64BE(BigInt(length), 2);
  if (!mask) return Buffer.concat([head, payload]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ (mask[at & 3] ?? 0))]);
}
