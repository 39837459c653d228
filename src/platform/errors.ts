/**
 * Every refusal that a client or an operator can be given, in one table: the code is the contract, the
 * message a default that says what to do. docs/errors-and-close-codes.md is compared with this table by a test.
 */

/** `status` is the HTTP status where the error answers a request; over a WebSocket only code and message are sent. */
export const errors = {
  bad_request: { status: 400, message: 'the request is not valid HTTP or not a valid WebSocket handshake' },
  bad_channel: {
    status: 400,
    message: 'a channel is 1 to 255 bytes of percent-encoded UTF-8 without control characters',
  },
  bad_query: { status: 400, message: 'a query parameter is not valid' },
  bad_json: { status: 400, message: 'the message is not valid JSON in UTF-8' },
  binary_not_supported: { status: 400, message: 'send JSON as a text message, not binary' },
  reserved_message: {
    status: 400,
    message: 'only the hub sends objects with this `status`, or with an `error` that has a `code`',
  },
  too_many_connections: { status: 429, message: 'your address has as many connections as it may have' },
  rate_limited: { status: 429, message: 'too many in a short time; slow down' },
  handler_failed: { status: 500, message: 'the handler of this message type failed' },
  unauthorized: { status: 401, message: 'send Authorization: Bearer <admin token or API key>' },
  forbidden: { status: 403, message: 'the admin token or API key is wrong' },
  origin_not_allowed: { status: 403, message: 'web pages of this origin may not connect' },
  not_found: { status: 404, message: 'nothing is here' },
  method_not_allowed: { status: 405, message: 'this method is not allowed here' },
  request_timeout: { status: 408, message: 'the request did not arrive in time' },
  message_too_big: { status: 413, message: 'the message is larger than maxPayload' },
  upgrade_required: { status: 426, message: 'open a WebSocket here: ws://host:port/<channel>' },
  headers_too_large: { status: 431, message: 'the request headers are too large' },
  internal: { status: 500, message: 'the hub failed; its log says why' },
  overloaded: { status: 503, message: 'the worker has as many connections as it may have; try again' },
  too_many_connects: { status: 503, message: 'too many clients connect in this moment; try again' },
  too_many_channels: { status: 503, message: 'the hub has as many channels as it may have' },
  unavailable: { status: 503, message: 'the hub is starting or stopping; try again' },
  worker_timeout: { status: 504, message: 'a worker did not answer in time' },
} as const;

export type ErrorCode = keyof typeof errors;

/** What is sent for an error: as the body of an HTTP answer, or as a message to the client that caused it. */
export interface ErrorBody {
  error: { code: ErrorCode; message: string };
}

export function errorBody(code: ErrorCode, message: string = errors[code].message): ErrorBody {
  return { error: { code, message } };
}

/** A refusal with a code of the table. Thrown where it happens, answered once at the edge. */
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

/**
 * Something that only the operator can mend (a bad setting, a port in use, a broken handler module). It ends the
 * start with its message as the one line that is printed, without a stack.
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

/** The sentence in an unknown thrown value. Never throws, whatever the value does when it is looked at. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'an error that cannot be read';
  }
}
