/** Refusals shared by several actions. */
import type { ChannelOptions } from '../config/namespaces.ts';
import { HubError } from '../platform/errors.ts';

export function channelForbidden(): HubError {
  return new HubError('forbidden', 'the API key is not for this channel');
}

/** Without history, duplicates are not recognized. */
export function keyRefusal(): HubError {
  return new HubError('bad_request', 'an idempotency key needs a channel with history');
}

/** @throws {HubError} `bad_request`: the clients of the channel may not be listed */
export function requirePresence({ presence }: ChannelOptions): void {
  if (!presence) throw new HubError('bad_request', 'the namespace of the channel has no presence');
}
