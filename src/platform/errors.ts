/**
 * The table of all errors for clients and operators. The code is the contract; the message is a default that says what to do.
 * A test compares docs/errors-and-close-codes.md with this table.
 */

/** `status`: of an HTTP response; over a WebSocket only code and message are sent. */
export const errors = {
  bad_request: { status: 400, message: 'the request is no valid HTTP or WebSocket handshake' },
  bad_channel: {
    status: 400,
    message: 'a channel is 1 to 255 bytes of percent-encoded UTF-8 without control characters',
  },
  bad_query: { status: 400, message: 'a query parameter is invalid' },
  bad_json: { status: 400, message: 'the message is not valid JSON in UTF-8' },
  binary_not_supported: { status: 400, message: 'send JSON as a text message, not binary' },
  reserved_message: {
    status: 400,
    message: 'only the hub sends objects with this `status`, or with an `error` that has a `code`',
  },
  too_many_connections: { status: 429, message: 'the connection limit for this address is reached' },
  rate_limited: { status: 429, message: 'rate limit exceeded; slow down' },
  handler_failed: { status: 500, message: 'the handler of this message type failed' },
  unauthorized: { status: 401, message: 'send Authorization: Bearer <admin token or API key>' },
  forbidden: { status: 403, message: 'the admin token or API key is wrong' },
  origin_not_allowed: { status: 403, message: 'web pages of this origin may not connect' },
  not_found: { status: 404, message: 'not found' },
  unknown_namespace: {
    status: 404,
    message: 'the prefix of the channel is not a declared namespace',
  },
  method_not_allowed: { status: 405, message: 'the method is not allowed for this path' },
  request_timeout: { status: 408, message: 'the request did not arrive in time' },
  message_too_big: { status: 413, message: 'the message is larger than maxPayload' },
  upgrade_required: { status: 426, message: 'open a WebSocket here: ws://host:port/<channel>' },
  headers_too_large: { status: 431, message: 'the request headers are too large' },
  internal: { status: 500, message: 'internal error; see the log of the hub' },
  overloaded: { status: 503, message: 'the connection limit of the worker is reached; try again' },
  too_many_connects: { status: 503, message: 'too many new connections; try again' },
  too_many_channels: { status: 503, message: 'the channel limit of the hub is reached' },
  unavailable: { status: 503, message: 'the hub is starting or stopping; try again' },
  worker_timeout: { status: 504, message: 'a worker did not answer in time' },
} as const;

export type ErrorCode = keyof typeof errors;

/** The JSON of an error: the body of an HTTP response, or a message to the client that caused it. */
export interface ErrorBody {
  error: { code: ErrorCode; message: string };
}

export function errorBody(code: ErrorCode, message: string = errors[code].message): ErrorBody {
  return { error: { code, message } };
}

/** An error with a code of the table. Thrown where it occurs, answered once at the edge. */
export class HubError extends Error {
  override readonly name = 'HubError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string = errors[code].message, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get status(): number {
    return errors[this.code].status;
  }

  get body(): ErrorBody {
    return errorBody(this.code, this.message);
  }
}

/** A user function has refused a request, with a code of its own. */
export class RefusedError extends HubError {
  readonly ownCode: number;
  /** the client should try again */
  readonly temporary: boolean;

  constructor(ownCode: number, message: string, temporary = false) {
    super('forbidden', message);
    this.ownCode = ownCode;
    this.temporary = temporary;
  }

  /** Only clients read it; in their JSON a code of their application may stand. */
  override get body(): ErrorBody {
    return { error: { code: this.ownCode as unknown as ErrorCode, message: this.message } };
  }
}

/**
 * An error that only the operator can fix (an invalid setting, a port in use, a broken handlers module). It ends the start;
 * its message is printed as one line, without a stack trace.
 */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  /** exit code of a process that this error ends */
  readonly exitCode: number;

  constructor(message: string, { exitCode = 1, ...options }: ErrorOptions & { exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** Returns the message of any thrown value. Never throws, even if reading the value does. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'an unreadable error';
  }
}
