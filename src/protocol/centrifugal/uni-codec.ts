/**
 * The unidirectional form of the protocol, in JSON: the client sends one `ConnectRequest` without an envelope, and gets pushes
 * without an envelope, the first of which is `connect`. All its subscriptions are server-side.
 */
import type { MessageParts } from '../protocol.ts';
import type { Codec } from './codec.ts';
import { jsonCodec } from './json-codec.ts';

/** The envelope of a push is `{"push":` and `}`. */
const headBytes = '{"push":'.length;

export const uniCodec: Codec = {
  isBinary: false,
  isUnidirectional: true,

  *decode(data) {
    const request = data.toString().trim().replaceAll('\n', ' ');
    yield* jsonCodec.decode(Buffer.from(`{"id":1,"connect":${request === '' ? '{}' : request}}`));
  },

  encode({ push, connect }) {
    return withoutEnvelope(jsonCodec.encode({ push: push ?? { connect } }));
  },

  publications: (channel, publications) => jsonCodec.publications(channel, publications).map(withoutEnvelope),
};

function withoutEnvelope(parts: MessageParts): MessageParts {
  return parts.map((part, index) =>
    part.subarray(index === 0 ? headBytes : 0, index === parts.length - 1 ? part.length - 1 : part.length),
  );
}
