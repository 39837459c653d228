// What the bench needs to know of a server, and how it starts one. Adding a server is one file and one row in
// servers.ts.
import type { ProtocolName } from '../protocols/protocols.ts';

export interface Settings {
  readonly port: number;
  /** A second free port, for a server that has an operations port. */
  readonly opsPort: number;
  readonly workers: number;
  /** A fresh directory, mode 0700, removed when the server has been stopped. */
  readonly directory: string;
  /** The hub's source tree, built. */
  readonly tree: string;
  /** Keep the last 100 messages of each channel for an hour; the hub is told by its own settings. */
  readonly keepsHistory: boolean;
}

export interface StartOptions {
  /** Settings of the hub, besides its defaults. */
  readonly env?: Readonly<Record<string, string>>;
  readonly keepsHistory?: boolean;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether clients may come, given what the server has printed so far. */
  ready(output: string): Promise<boolean> | boolean;
}

export interface Server {
  readonly name: string;
  readonly protocol: ProtocolName;
  /** The workloads that it can be driven with; undefined: all. */
  readonly workloads?: readonly string[];
  /** Its version, or null where it is not installed. */
  version(tree: string): string | null;
  /** The command that installs it. */
  readonly install: string;
  launch(settings: Settings): Launch;
}
