/**
 * The handshake of WebSockets of the Centrifugal protocol: admitted and answered at once, because the token and the channels
 * come in commands. A client that cannot be admitted is accepted and closed with a code, if there is room: SDKs see no HTTP
 * status, and would take a refusal as a reason to try another transport.
 */
import type { Settings } from '../config/settings.ts';
import type { Counters } from '../metrics/counters.ts';
import { now } from '../platform/clock.ts';
import { HubError } from '../platform/errors.ts';
import { CentrifugalProtocol } from '../protocol/centrifugal/centrifugal-protocol.ts';
import { closeCodes } from '../protocol/centrifugal/codes.ts';
import { jsonCodec } from '../protocol/centrifugal/json-codec.ts';
import { protobufCodec } from '../protocol/centrifugal/protobuf-codec.ts';
import { uniCodec } from '../protocol/centrifugal/uni-codec.ts';
import type { Sessions } from '../session/sessions.ts';
import type { RequestSpan } from '../tracing/tracing.ts';
import { binaryMessages, textLines } from '../transport/websocket/frame-writer.ts';
import { WebSocketServer, type WebSocketUpgrade } from '../transport/websocket/websocket-server.ts';
import type { WebSocketTransport } from '../transport/websocket/websocket-transport.ts';
import type { AdmissionControl } from './admission-control.ts';
import type { UpgradeRequest } from './handshake-parser.ts';
import { closeForRefusal, PageRefusals } from './page-refusals.ts';

export interface SessionHandshakeOptions {
  sessions: Sessions;
  admission: Pick<AdmissionControl, 'enter' | 'leave' | 'count'>;
  settings: Pick<Settings, 'maxCommandBytes' | 'closeTimeoutMs' | 'maxMessagePieces'>;
  counters: Counters;
}

/** An upgrade request to the path of the protocol. */
export interface SessionUpgrade extends WebSocketUpgrade {
  readonly request: UpgradeRequest;
  /** see Codec; such clients have JSON only */
  readonly isUnidirectional: boolean;
  /** null: not traced */
  readonly span: RequestSpan | null;
  /** in seconds of clock.ts */
  readonly startedAt: number;
}

const protobufProtocol = 'centrifuge-protobuf';
/** the best first */
const subprotocols = [protobufProtocol, 'centrifuge-json'];
const jsonOnly = ['centrifuge-json'];

const json = new CentrifugalProtocol(jsonCodec, textLines);
const protobuf = new CentrifugalProtocol(protobufCodec, binaryMessages);
const unidirectional = new CentrifugalProtocol(uniCodec, textLines);

export class SessionHandshake {
  readonly #sessions: Sessions;
  readonly #admission: SessionHandshakeOptions['admission'];
  readonly #counters: Counters;
  readonly #server: WebSocketServer;
  readonly #refusals = new PageRefusals();

  constructor({ sessions, admission, settings, counters }: SessionHandshakeOptions) {
    this.#sessions = sessions;
    this.#admission = admission;
    this.#counters = counters;
    this.#server = new WebSocketServer({ ...settings, maxPayload: settings.maxCommandBytes });
  }

  /** @throws {HubError} the client is refused */
  handle(upgrade: SessionUpgrade): void {
    const { request, handshake, span, startedAt } = upgrade;
    let pass: ReturnType<AdmissionControl['enter']>;
    try {
      pass = this.#admission.enter(request, null);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#close(upgrade, error);
      return;
    }
    const { address, source } = pass;
    const transport = this.#open(upgrade);
    if (transport) {
      const session = this.#sessions.open(
        transport,
        upgrade.isUnidirectional ? unidirectional : protocolFor(request, handshake.protocols),
        { address, quota: source },
        request,
      );
      transport.attach(session.client, session);
      transport.uncork();
      this.#counters.handshake.observe(now() - startedAt);
    } else {
      this.#admission.leave(source);
    }
    span?.end(transport ? 101 : 400);
  }

  /** Accepts a client that is refused, and closes it. @throws {HubError} there is no close code, or no room */
  #close(upgrade: SessionUpgrade, error: HubError): void {
    const close = closeForRefusal(error);
    if (!close || !this.#refusals.hasRoom || upgrade.socket.destroyed) throw error;
    upgrade.span?.end(error.status);
    const transport = this.#open(upgrade);
    if (!transport) return;
    this.#admission.count(error);
    this.#refusals.closeSilently(transport, { reason: close.reason, code: closeCodes[close.reason] });
  }

  #open(upgrade: SessionUpgrade): WebSocketTransport | null {
    const { protocols } = upgrade.handshake;
    const known = upgrade.isUnidirectional ? jsonOnly : subprotocols;
    return this.#server.open(upgrade, known.find((name) => protocols.has(name)) ?? null);
  }
}

/** By the subprotocol or the query; JSON if the client names none. */
function protocolFor({ url = '' }: UpgradeRequest, offered: ReadonlySet<string>): CentrifugalProtocol {
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1 || url.length));
  const asked = [query.get('cf_protocol'), query.get('format')];
  return offered.has(protobufProtocol) || asked.includes('protobuf') ? protobuf : json;
}
