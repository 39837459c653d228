/** Names that are no channels of the plain protocol, because their paths belong to other interfaces. */

/** WebSockets of the Centrifugal protocol. */
export const sessionPath = 'connection/websocket';
/** The same for clients that send nothing but `connect`. */
export const uniSessionPath = 'connection/uni_websocket';

const reserved: ReadonlySet<string> = new Set(['emulation', 'console', 'connection', 'api', 'admin']);
const prefixes = ['connection/', 'emulation/', 'api/', 'console/', 'admin/'];

export function isReservedName(name: string): boolean {
  return reserved.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}
