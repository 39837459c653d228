/** A transport that records what is written to it, and a protocol that is easy to read. */
import type { Protocol } from '../../src/protocol/protocol.ts';
import type { Transport } from '../../src/transport/transport.ts';

export class FakeTransport implements Transport {
  readonly remoteAddress = '192.0.2.1';
  readonly writes: string[] = [];
  readonly closes: { code: number; text: string }[] = [];
  bufferedBytes = 0;
  isReading = true;
  terminated = false;
  /** the peer reads nothing */
  isStalled = false;

  write(bytes: Buffer): number {
    this.writes.push(bytes.toString());
    if (this.isStalled) this.bufferedBytes += bytes.length;
    return this.bufferedBytes;
  }

  sendPing(): void {
    this.writes.push('ping');
  }

  pongFrame(data: Buffer): Buffer {
    return Buffer.from(`<pong ${data.toString()}>`);
  }

  pause(): void {
    this.isReading = false;
  }

  resume(): void {
    this.isReading = true;
  }

  close(code: number, text: string): void {
    this.writes.push('close');
    this.closes.push({ code, text });
  }

  terminate(): void {
    this.terminated = true;
  }
}

/** Every word of the hub in angle brackets, publications in square ones. */
export class FakeProtocol implements Protocol {
  /** batches that were encoded */
  encoded = 0;

  publications(channel: string, publications: readonly { readonly payload: Buffer }[]): Buffer {
    this.encoded += 1;
    return Buffer.from(publications.map(({ payload }) => `[${channel} ${payload.toString()}]`).join(''));
  }

  message(text: string): Buffer {
    return Buffer.from(`<${text}>`);
  }

  error(code: string): Buffer {
    return Buffer.from(`<error ${code}>`);
  }

  skipped(count: number): Buffer {
    return Buffer.from(`<skipped ${count}>`);
  }

  joined(channel: string, { connectionId }: { readonly connectionId: string }): Buffer {
    return Buffer.from(`<joined ${channel} ${connectionId}>`);
  }

  left(channel: string, { connectionId }: { readonly connectionId: string }): Buffer {
    return Buffer.from(`<left ${channel} ${connectionId}>`);
  }

  draining(): Buffer {
    return Buffer.from('<draining>');
  }

  disconnected(reason: string): Buffer {
    return Buffer.from(`<disconnected ${reason}>`);
  }

  closeCode(): number {
    return 4000;
  }
}
