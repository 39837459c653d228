/** The permissions of a client on one channel: by the options of its namespace and by its token. */
import type { ChannelOptions } from '../config/namespaces.ts';
import { allows, allowsExactly, type Grant } from './grant.ts';

type PermissionOptions = Pick<ChannelOptions, 'clientPublish' | 'userLimited'>;

/** Whether the client may subscribe. @param grant null: the hub needs no tokens */
export function maySubscribe(options: PermissionOptions, grant: Grant | null, channel: string): boolean {
  if (options.userLimited) {
    const users = listedUsers(channel);
    if (users !== null && !(grant?.user != null && users.includes(grant.user))) return false;
    if (channel.startsWith('$')) return grant !== null && allowsExactly(grant, 'subscribe', channel);
  }
  return grant === null || allows(grant, 'subscribe', channel);
}

/** Whether the name of the channel lists the user of the client, in a namespace where this counts. */
export function isListedUser(options: PermissionOptions, grant: Grant | null, channel: string): boolean {
  const user = grant?.user ?? null;
  return options.userLimited && user !== null && (listedUsers(channel)?.includes(user) ?? false);
}

/** Whether the client may publish. */
export function mayPublish(options: PermissionOptions, grant: Grant | null, channel: string): boolean {
  return options.clientPublish ?? (grant === null || allows(grant, 'publish', channel));
}

/** The users behind the last `#` of a name such as `dialog#42,43`; null: the name lists none. */
function listedUsers(channel: string): string[] | null {
  const hash = channel.lastIndexOf('#');
  return hash === -1 ? null : channel.slice(hash + 1).split(',');
}
