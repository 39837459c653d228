/** The errors of Centrifugo's server API. An answer with one has the HTTP status 200. */
import { errors, HubError, type ErrorCode } from '../../platform/errors.ts';

/** Codes by the name of their cause; the messages are for people. */
export const apiErrorCodes = {
  internal: 100,
  unknown_channel: 102,
  permission_denied: 103,
  method_not_found: 104,
  limit_exceeded: 106,
  bad_request: 107,
  not_available: 108,
  too_many_requests: 111,
  unrecoverable_position: 112,
} as const;

export type ApiErrorName = keyof typeof apiErrorCodes;

/** The JSON of an error. */
export interface ApiErrorBody {
  code: number;
  message: string;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** name of its code */
  readonly code: ApiErrorName;

  constructor(code: ApiErrorName, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  get body(): ApiErrorBody {
    return { code: apiErrorCodes[this.code], message: this.message };
  }
}

/** Errors of the hub that are not `internal`: the client must change its request. */
const names: Partial<Record<ErrorCode, ApiErrorName>> = {
  bad_request: 'bad_request',
  bad_channel: 'bad_request',
  bad_query: 'bad_request',
  bad_json: 'bad_request',
  message_too_big: 'bad_request',
  unknown_namespace: 'unknown_channel',
  forbidden: 'permission_denied',
  rate_limited: 'too_many_requests',
};

/** Returns the JSON of an error of the hub. */
export function apiErrorOf(code: string, message: string): ApiErrorBody {
  const name = code in errors ? names[code as ErrorCode] : undefined;
  return new ApiError(name ?? 'internal', message).body;
}

/** Returns the JSON of any error of a method, without the details of an unexpected one. */
export function apiErrorBody(error: unknown): ApiErrorBody {
  if (error instanceof ApiError) return error.body;
  const { code, message } = error instanceof HubError ? error : new HubError('internal');
  return apiErrorOf(code, message);
}
