/** The permissions of the caller of an admin action. */
import { coversAll, type Caller } from '../auth/api-keys.ts';
import { HubError } from '../platform/errors.ts';
import type { Action } from './action.ts';

/** @throws {HubError} `forbidden`: the caller's scopes or channels do not allow the action */
export function checkPermission(
  { scope, byChannel }: Pick<Action, 'scope' | 'byChannel'>,
  { scopes, channels }: Caller,
): void {
  if (!scopes.includes(scope)) {
    throw new HubError('forbidden', `the API key needs the scope "${scope}"`);
  }
  if (!byChannel && !coversAll(channels)) {
    throw new HubError('forbidden', 'the API key needs all channels ("*") for this');
  }
}
