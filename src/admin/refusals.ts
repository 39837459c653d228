/** Refusals shared by several actions. */
import { HubError } from '../platform/errors.ts';

export function channelForbidden(): HubError {
  return new HubError('forbidden', 'the API key is not for this channel');
}

/** Without history, duplicates are not recognized. */
export function keyRefusal(): HubError {
  return new HubError('bad_request', 'an idempotency key needs a channel with history');
}
