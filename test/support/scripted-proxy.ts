import { Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { Batch, BatchReply } from '../../core/batch.ts';
import { decodeEvent, type DecodedEvent } from '../../core/event-codec.ts';
import { isFondacoError } from '../../core/errors.ts';
import { eventService, type BatchRequest } from '../../proto/load.ts';
import { ReceiverModel } from './receiver-model.ts';

/**
 * What to do with a batch: take it, and reply at once or in `answer`; take it and lose the reply, with the stream; answer without taking it; end
 * the stream with a status; or say nothing, now and for the rest of the stream.
 */
export type Deed = 'take' | 'take-later' | 'lose-reply' | 'die' | 'hang' | { readonly throttleMs: number } | { readonly expected: number };

/** A real gRPC server on a free port that keeps the receiver's rules in memory, and does what its script says. */
export class ScriptedProxy {
  readonly model = new ReceiverModel();
  /** Every batch that arrived, in order, whatever was done with it. */
  readonly batches: Batch[] = [];
  streams = 0;
  openStreams = 0;
  script: (batch: Batch, index: number) => Deed = () => 'take';
  /** Replies that were not sent yet. */
  readonly #kept: (() => void)[] = [];
  #server: Server | undefined;
  #address: string;

  private constructor(address: string) {
    this.#address = address;
  }

  static async start(address = '127.0.0.1:0'): Promise<ScriptedProxy> {
    const proxy = new ScriptedProxy(address);
    await proxy.start();
    return proxy;
  }

  /** Where it listens; the same after a restart. */
  get address(): string {
    return this.#address;
  }

  /** Starts again after `stop`, with what it remembers. */
  async start(): Promise<void> {
    const server = new Server();
    server.addService(eventService, { Record: (call: ServerDuplexStream<BatchRequest, BatchReply>) => this.#record(call) });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.#address, ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    if (!this.#address.startsWith('unix:')) this.#address = `127.0.0.1:${port}`;
    this.#server = server;
  }

  /** Sends the oldest reply that was kept back; false where there is none. */
  answer(): boolean {
    const reply = this.#kept.shift();
    reply?.();
    return reply !== undefined;
  }

  /** Gone at once, as after SIGKILL. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** The events that were stored, decoded, in the order of their storing. */
  get events(): DecodedEvent[] {
    return this.model.stored.map(({ series, seq, bytes }) =>
      decodeEvent(bytes, { id: `${series}-${seq}`, site: 's', labels: undefined, receivedTime: '' }),
    );
  }

  get messages(): string[] {
    return this.events.map((event) => event.message);
  }

  #record(call: ServerDuplexStream<BatchRequest, BatchReply>): void {
    this.streams++;
    this.openStreams++;
    let isHanging = false;
    call.on('data', (batch: BatchRequest) => {
      if (isFondacoError(batch)) {
        call.emit('error', { code: status.INVALID_ARGUMENT, details: batch.message });
        return;
      }
      if (isHanging) return;
      const deed = this.script(batch, this.batches.push(batch) - 1);
      if (deed === 'hang') isHanging = true;
      else if (deed === 'die') call.emit('error', { code: status.UNAVAILABLE, details: 'scripted' });
      else if (deed === 'lose-reply') {
        this.model.take(batch);
        call.emit('error', { code: status.UNAVAILABLE, details: 'the reply was lost' });
      } else if (deed === 'take') call.write(this.model.take(batch));
      else if (deed === 'take-later') {
        const reply = this.model.take(batch);
        this.#kept.push(() => call.write(reply));
      } else call.write({ series: batch.series, settled: 0, journal: this.model.journal, rejections: [], ...deed });
    });
    const closed = (): void => void this.openStreams--;
    call.on('end', () => {
      if (!isHanging) call.end();
    });
    call.once('close', closed);
    call.on('error', () => undefined); // scripted, or the client's going
  }
}
