// What the load generator needs of a protocol: the bytes to open with, the bytes of one message, and how to walk
// what comes in. Adding a protocol is one file and one row in protocols.ts.

/** The generator's side of one connection, as a protocol sees it. */
export interface Link {
  readonly channel: string;
  /** False until the protocol has read what the server answers to the greeting. */
  greeted: boolean;
  readonly isJoined: boolean;
  /** The server has put this connection on its channel; `text`: its message. */
  joined(text: string): void;
  /** One message of the workload has arrived, with its stamp at this place of the buffer. */
  delivered(buffer: Buffer, stampAt: number): void;
  write(bytes: Buffer | string): void;
  /** The server has said something that makes this connection useless. */
  failed(reason: string): void;
}

/** One message ready to be copied, stamped and written. */
export interface Publication {
  readonly bytes: Buffer;
  readonly stampAt: number;
  readonly mask: Buffer;
  /** Where in the masked payload the stamp begins. */
  readonly phase: number;
}

export interface Protocol {
  greeting(channel: string, port: number): string;
  publication(channel: string): Publication;
  /** What a client sends before it leaves. */
  readonly farewell: Buffer;
  /** Walks the whole frames between `from` and `to`; answers where the first unfinished one begins. */
  walk(link: Link, buffer: Buffer, from: number, to: number): number;
}
