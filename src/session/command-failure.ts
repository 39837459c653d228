/** Why a command is not carried out: the client gets an error, or is disconnected. */
import type { DisconnectCause } from '../metrics/counters.ts';
import { replyErrors, disconnects, type Disconnect } from '../protocol/centrifugal/codes.ts';
import type { ReplyError } from '../protocol/centrifugal/messages.ts';

export type ErrorName = keyof typeof replyErrors;
export type DisconnectName = keyof typeof disconnects;

/** The cause of a disconnect in the metrics. */
const causes: Readonly<Record<DisconnectName, DisconnectCause>> = {
  subscriptionExpired: 'token_expired',
  connectionExpired: 'token_expired',
  noPong: 'no_pong',
  invalidToken: 'unauthorized',
  badRequest: 'protocol_error',
  stale: 'stale',
  channelLimit: 'policy_violation',
  notAvailable: 'policy_violation',
};

export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  /** null: the client is disconnected */
  readonly error: ReplyError | null;
  /** null: the client gets an error */
  readonly disconnect: (Disconnect & { readonly cause: DisconnectCause }) | null;

  private constructor(
    message: string,
    error: ReplyError | null,
    disconnect: CommandFailure['disconnect'],
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.error = error;
    this.disconnect = disconnect;
  }

  /** @param message absent: that of the table */
  static error(name: ErrorName, message?: string): CommandFailure {
    const error: ReplyError = replyErrors[name];
    return new CommandFailure(
      message ?? error.message,
      message === undefined ? error : { ...error, message },
      null,
    );
  }

  /** @param reason ASCII, at most 123 characters; absent: that of the table */
  static disconnect(name: DisconnectName, reason: string = disconnects[name].reason): CommandFailure {
    const { code } = disconnects[name];
    return new CommandFailure(reason, null, { code, reason, cause: causes[name] });
  }
}
