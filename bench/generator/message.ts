// The 128-byte JSON message of every workload: a sent-at stamp in a fixed place, then padding. The stamp is in
// microseconds of CLOCK_MONOTONIC, which all processes of one machine share, and is written and read as digits,
// so that no JSON is ever built or parsed.

const stampDigits = 13;
const opening = '{"t":"';
const zeros = '0'.repeat(stampDigits);
const padding = '","pad":"';
const closing = '"}';

export const messageBytes = 128;
export const stampOffset = opening.length;
export const blankMessage =
  opening +
  zeros +
  padding +
  'x'.repeat(messageBytes - opening.length - stampDigits - padding.length - closing.length) +
  closing;

const noMask = Buffer.alloc(4);

// performance.now() starts at 0 in every process; hrtime does not.
const [bootSeconds, bootNs] = process.hrtime();
const epochUs = bootSeconds * 1e6 + bootNs / 1e3 - performance.now() * 1e3;

export function nowUs(): number {
  return Math.floor(epochUs + performance.now() * 1e3);
}

/** In a masked frame `mask` is its key and `phase` how far into the payload the stamp begins. */
export function writeStamp(buffer: Buffer, at: number, us: number, mask: Buffer = noMask, phase = 0): void {
  let rest = us;
  for (let i = stampDigits - 1; i >= 0; i--) {
    buffer[at + i] = (48 + (rest % 10)) ^ (mask[(phase + i) & 3] ?? 0);
    rest = Math.floor(rest / 10);
  }
}

export function readStamp(buffer: Buffer, at: number): number {
  let us = 0;
  for (let i = 0; i < stampDigits; i++) us = us * 10 + (buffer[at + i] ?? 0) - 48;
  return us;
}
