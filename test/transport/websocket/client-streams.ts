/** Streams of client frames for property tests: valid and invalid, whole and cut anywhere. */
import fc, { type Arbitrary } from 'fast-check';
import { clientFrame } from '../../client-frame.ts';

export const maxPayload = 70_000;
export const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 31);

function bytes(minLength: number, maxLength: number): Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength, size: 'max' }).map((values) => Buffer.from(values));
}

/** A frame with a mask of its own. */
function framed(first: number, payload: Arbitrary<Buffer>): Arbitrary<Buffer> {
  return fc.tuple(payload, bytes(4, 4)).map(([data, mask]) => clientFrame(first, data, mask));
}

/** Valid UTF-8 of about so many bytes at most. */
function text(maxLength: number): Arbitrary<Buffer> {
  const letters = fc.array(fc.constantFrom('ab', 'é', '🦊'), { maxLength: maxLength / 2, size: 'max' });
  return letters.map((parts) => Buffer.from(parts.join('')));
}

/** Around the bounds of the length's three forms. */
const boundaryText = fc
  .constantFrom(0, 1, 124, 125, 126, 127, 300, 65_534, 65_535, 65_536)
  .map((length) => Buffer.from('é'.repeat(length / 2) + 'x'.repeat(length % 2)));

const textFrame = framed(
  0x81,
  fc.oneof({ weight: 19, arbitrary: text(300) }, { weight: 1, arbitrary: boundaryText }),
);

const control = fc.oneof(framed(0x89, bytes(0, 125)), framed(0x8a, bytes(0, 125)));

const fragments = fc
  .tuple(
    fc.oneof(framed(0x01, text(50)), framed(0x02, text(50))),
    fc.array(fc.tuple(framed(0x00, text(50)), control), { maxLength: 2 }),
    framed(0x80, text(50)),
  )
  .map(([first, middle, last]) => Buffer.concat([first, ...middle.flat(), last]));

/** What ends a connection. */
const last = fc.oneof(
  framed(0x81, fc.constant(Buffer.from([0x22, 0xff, 0x22]))), // no UTF-8
  text(10).map((payload) => clientFrame(0x81, payload, null)), // not masked
  framed(0xc1, text(10)),
  framed(0x83, text(10)),
  framed(0x80, text(10)), // a continuation of nothing
  fc.tuple(framed(0x01, text(10)), framed(0x81, text(10))).map((both) => Buffer.concat(both)), // a message within a message
  framed(0x81, fc.constant(Buffer.alloc(maxPayload + 1, 'x'))),
  framed(0x09, fc.constant(Buffer.alloc(0))), // a control frame in fragments
  framed(0x88, fc.constant(Buffer.from([3, 232]))),
  framed(0x88, fc.constant(Buffer.alloc(0))),
  framed(0x88, fc.constant(Buffer.from([3]))),
  framed(0x88, fc.constantFrom(999, 1004, 1006, 1015, 2999, 4999, 5000).map(bigEndian)),
);

/** Text messages mostly; half of the streams have an end, behind which more comes. */
const stream = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: textFrame },
        { weight: 1, arbitrary: control },
        { weight: 1, arbitrary: framed(0x82, bytes(0, 300)) },
        { weight: 1, arbitrary: fragments },
      ),
      { minLength: 1, maxLength: 12, size: 'max' },
    ),
    fc.option(fc.tuple(last, textFrame, textFrame), { freq: 2, nil: [] }),
  )
  .map(([frames, end]) => Buffer.concat([...frames, ...end]));

/** The stream in chunks: whole, in few, or byte by byte. */
export const chunked = fc
  .tuple(
    stream,
    fc.constantFrom(Infinity, 1, 3, 20, 200, 20_000),
    fc.array(fc.nat(20_000), { minLength: 1, maxLength: 20, size: 'max' }),
  )
  .map(([whole, longest, sizes]) => cut(whole, longest, sizes));

function cut(whole: Buffer, longest: number, sizes: readonly number[]): Buffer[] {
  if (longest === Infinity) return [whole];
  const chunks: Buffer[] = [];
  for (let at = 0; at < whole.length;) {
    const size = (sizes[chunks.length % sizes.length] ?? 0) % longest;
    const end = at + (longest < 20 && whole.length > 5_000 ? 997 : 1 + size);
    chunks.push(whole.subarray(at, end));
    at = end;
  }
  return chunks;
}

export function bigEndian(code: number): Buffer {
  return Buffer.from([code >> 8, code & 0xff]);
}
