/** The errors of Centrifugo's server API. An answer with one has the HTTP status 200. */
import { errors, HubError, type ErrorCode } from '../../platform/errors.ts';
import { replyErrors } from '../../protocol/centrifugal/codes.ts';

/** Codes by the name of their cause: those of the client protocol. The messages are for people. */
export const apiErrorCodes = {
  internal: replyErrors.internal.code,
  unknown_channel: replyErrors.unknownChannel.code,
  permission_denied: replyErrors.permissionDenied.code,
  method_not_found: replyErrors.methodNotFound.code,
  limit_exceeded: replyErrors.limitExceeded.code,
  bad_request: replyErrors.badRequest.code,
  not_available: replyErrors.notAvailable.code,
  too_many_requests: replyErrors.tooManyRequests.code,
  unrecoverable_position: replyErrors.unrecoverablePosition.code,
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
  too_many_channels: 'limit_exceeded',
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
