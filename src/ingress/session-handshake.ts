/**
 * The handshake of WebSockets of the Centrifugal protocol: admitted and answered at once, because the token and the channels
 * come in commands. A client that cannot be admitted is accepted and closed with a code, if there is room: SDKs see no HTTP
 * status, and would take a refusal as a reason to try another transport.
 */
import type { Socket } from 'node:net';
import type { Settings } from '../config/settings.ts';
import { refuse } from '../http/refuse.ts';
import type { Counters } from '../metrics/counters.ts';
import { now } from '../platform/clock.ts';
import { HubError } from '../platform/errors.ts';
import { CentrifugalProtocol } from '../protocol/centrifugal/centrifugal-protocol.ts';
import { closeCodes } from '../protocol/centrifugal/codes.ts';
import { jsonCodec } from '../protocol/centrifugal/json-codec.ts';
import type { Sessions } from '../session/sessions.ts';
import type { RequestSpan } from '../tracing/tracing.ts';
import { textLines } from '../transport/websocket/frame-writer.ts';
import { WsServer } from '../transport/websocket/ws-adapter.ts';
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
export interface SessionUpgrade {
  readonly request: UpgradeRequest;
  readonly socket: Socket;
  readonly head: Buffer;
  /** null: not traced */
  readonly span: RequestSpan | null;
  /** in seconds of clock.ts */
  readonly startedAt: number;
}

const jsonProtocol = 'centrifuge-json';
const protobufProtocol = 'centrifuge-protobuf';

const json = new CentrifugalProtocol(jsonCodec, textLines);

export class SessionHandshake {
  readonly #sessions: Sessions;
  readonly #admission: SessionHandshakeOptions['admission'];
  readonly #counters: Counters;
  readonly #server: WsServer;
  readonly #refusals = new PageRefusals();
  readonly #closeTimeoutMs: number;

  constructor({ sessions, admission, settings, counters }: SessionHandshakeOptions) {
    this.#sessions = sessions;
    this.#admission = admission;
    this.#counters = counters;
    this.#closeTimeoutMs = settings.closeTimeoutMs;
    this.#server = new WsServer({
      maxPayload: settings.maxCommandBytes,
      closeTimeout: settings.closeTimeoutMs,
      maxFragments: settings.maxMessagePieces,
      maxBufferedChunks: settings.maxMessagePieces + Math.ceil(settings.maxCommandBytes / 256),
      handleProtocols: (offered) => offered.has(jsonProtocol) && jsonProtocol,
      refuse: (socket, error) => {
        this.#refuse(socket, new HubError('bad_request', error.message));
      },
    });
  }

  /** @throws {HubError} the request is not valid */
  handle(upgrade: SessionUpgrade): void {
    const { request, socket, head, span, startedAt } = upgrade;
    checkEncoding(request);
    let pass: ReturnType<AdmissionControl['enter']>;
    try {
      pass = this.#admission.enter(request, null);
    } catch (error) {
      if (!(error instanceof HubError)) throw error;
      this.#close(upgrade, error);
      return;
    }
    const { address, source } = pass;
    socket.cork();
    const ws = this.#server.upgrade(request, socket, head);
    if (ws) {
      const session = this.#sessions.open(ws, json, { address, quota: source }, request);
      ws.attach(session.client, session);
      this.#counters.handshake.observe(now() - startedAt);
    } else {
      this.#admission.leave(source);
    }
    span?.end(ws ? 101 : 400);
    socket.uncork();
  }

  /** Accepts a client that is refused, and closes it. @throws {HubError} there is no close code, or no room */
  #close({ request, socket, head, span }: SessionUpgrade, error: HubError): void {
    const close = closeForRefusal(error);
    if (!close || !this.#refusals.hasRoom || socket.destroyed) throw error;
    span?.end(error.status);
    socket.cork();
    const ws = this.#server.upgrade(request, socket, head);
    if (ws) {
      this.#admission.count(error);
      this.#refusals.closeSilently(ws, { reason: close.reason, code: closeCodes[close.reason] });
    }
    socket.uncork();
  }

  #refuse(socket: Socket, error: HubError): void {
    this.#admission.count(error);
    refuse(socket, error, this.#closeTimeoutMs);
  }
}

/**
 * Accepting an encoding that the hub does not have would be answered with text that the client cannot read.
 * @throws {HubError} `bad_request`
 */
function checkEncoding({ headers, url = '' }: UpgradeRequest): void {
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1 || url.length));
  const asked = [query.get('cf_protocol'), query.get('format')];
  if (offered.includes(protobufProtocol) || asked.includes('protobuf')) {
    throw new HubError('bad_request', 'the hub speaks JSON only on this path');
  }
}
