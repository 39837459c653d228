/** The members of channels in presence: clients of any transport and protocol. */

/** One client on one channel. */
export interface PresentMember {
  readonly connectionId: string;
  /** the user of its token; `''`: none */
  readonly user: string;
  /** data about the client, JSON; `''`: none */
  readonly info: string;
  /** data about its subscription to this channel, JSON; `''`: none */
  readonly channelInfo: string;
}

export interface PresenceList {
  readonly members: readonly PresentMember[];
  /** more members are on the channel */
  readonly truncated: boolean;
}

export interface PresenceStats {
  readonly connections: number;
  /** each user once; members without a user are not counted */
  readonly users: number;
}

/** A member has joined or left a channel. */
export interface MemberEvent {
  readonly kind: 'joined' | 'left';
  readonly member: PresentMember;
}

/** Most bytes of each text of a member; longer ones are left out. */
export const maxMemberTextBytes = 16 * 1024;
