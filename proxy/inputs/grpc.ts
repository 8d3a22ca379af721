/**
 * fondaco.v1.EventService, with standard health and reflection.
 *
 * What becomes of a Record stream's batches is record-stream.ts; how much of them is taken before it is answered, stream-bounds.ts.
 */
import type { ServerHttp2Session } from 'node:http2';
import {
  logVerbosity,
  Server,
  setLogVerbosity,
  status,
  type handleUnaryCall,
  type sendUnaryData,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Batch, BatchReply } from '../../core/batch.ts';
import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import { decodeBatchOrError } from '../../proto/batch-codec.ts';
import { eventService, packageDefinition, type BatchRequest } from '../../proto/load.ts';
import { clearSocket, formatAddress, listenError, type ListenAddress } from '../address.ts';
import type { Gate } from '../token-gate.ts';
import type { ListenTls } from '../listen-tls.ts';
import { boundListener, type ListenerLimits } from '../listener-limits.ts';
import { admit, serverCredentials, serversOf } from './grpc-access.ts';
import { grpcStatus } from './grpc-status.ts';
import { RecordStream, statusOf, type Received } from './record-stream.ts';
import { boundStreams } from './stream-bounds.ts';

const MIB = 1024 * 1024;
const MESSAGE_BYTES_MAX = 4 * MIB;
/** What one stream may have sent without an answer, and all of them together so many times that. */
const UNANSWERED_BYTES_MAX = 4 * MIB;
const UNANSWERED_OF_ALL = 2;
/** What a connection may send before it was read: some batches, and what a link of 10 MiB/s has on its way in a tenth of a second. */
const WINDOW_BYTES = MIB;
/** How often health is brought up to date, ms. */
const HEALTH_MS = 500;
/** How long a stop waits for what was taken to be answered, and then for clients to take note, ms. */
const STOP_MS = 5000;
const GOODBYE_MS = 250;
const SERVICE = 'fondaco.v1.EventService';

export interface GrpcInputOptions extends ListenerLimits {
  readonly address: ListenAddress;
  /** Resolves when the batch is durable. Rejects UNAVAILABLE or FULL; anything else but CORRUPT and REJECTED is a bug, and ends `run`. */
  readonly accept: (batch: Batch) => Promise<BatchReply>;
  /** The UUID of the journal, for replies that were not made by `accept`. */
  readonly journal: string;
  /** Whether ingest works: what health says. */
  readonly isReady: () => boolean;
  readonly clock: Clock;
  readonly tls?: ListenTls | undefined;
  /** Asked for every call but those of health. */
  readonly gate?: Gate | undefined;
  readonly unansweredBytesMax?: number;
}

/** Listens from `open` on; takes part in nothing after `run` has resolved. */
export class GrpcInput {
  readonly address: ListenAddress;
  readonly #options: GrpcInputOptions;
  readonly #server: Server;
  readonly #health = new HealthImplementation();
  readonly #streams = new Set<RecordStream>();
  readonly #bug = new AbortController();

  /** Resolves when it listens. Rejects UNAVAILABLE (the address is in use) or CONFIG. */
  static async open(options: GrpcInputOptions): Promise<GrpcInput> {
    // What goes wrong is returned as an error; the library's own lines on stderr would say it a second time, in its words.
    if (process.env.GRPC_VERBOSITY === undefined) setLogVerbosity(logVerbosity.NONE);
    await clearSocket(options.address);
    const { unansweredBytesMax: ofOne = UNANSWERED_BYTES_MAX } = options;
    const server = new Server({
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
      'grpc.keepalive_time_ms': 60_000,
      'grpc.keepalive_timeout_ms': 20_000,
      interceptors: [...(options.gate ? [admit(options.gate)] : []), boundStreams({ ofOne, ofAll: ofOne * UNANSWERED_OF_ALL })],
    });
    try {
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync(formatAddress(options.address), serverCredentials(options.tls), (error, bound) =>
          error ? reject(error) : resolve(bound),
        );
      });
      boundListener(serversOf(server), options);
      for (const listener of serversOf(server)) listener.on('session', widenWindow);
      return new GrpcInput(options, server, 'path' in options.address ? options.address : { ...options.address, port });
    } catch (error) {
      server.forceShutdown();
      throw listenError(options.address, error);
    }
  }

  private constructor(options: GrpcInputOptions, server: Server, address: ListenAddress) {
    this.#options = options;
    this.#server = server;
    this.address = address;
    server.addService({ ...eventService, Record: RECORD_METHOD }, { Record: this.#record, RecordBatch: this.#recordBatch });
    this.#setHealth(options.isReady());
    this.#health.addToServer(server);
    new ReflectionService(packageDefinition).addToServer(server);
  }

  /**
   * Until `signal` is aborted; then takes nothing more, answers what it has taken, ends the streams with UNAVAILABLE, and resolves.
   * Rejects with the error of `accept` if that is a bug.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const stop = AbortSignal.any([signal, this.#bug.signal]);
    while (!stop.aborted) {
      this.#setHealth(this.#options.isReady());
      await clock.sleep(HEALTH_MS, stop);
    }
    await this.#stop();
    if (this.#bug.signal.aborted) throw asError(this.#bug.signal.reason);
  }

  async #stop(): Promise<void> {
    this.#setHealth(false);
    const { clock } = this.#options;
    const answered = Promise.all([...this.#streams].map((stream) => stream.stop()));
    await within(STOP_MS, answered, clock);
    const gone = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    await within(GOODBYE_MS, gone, clock);
    this.#server.forceShutdown();
  }

  #setHealth(isServing: boolean): void {
    for (const service of ['', SERVICE]) this.#health.setStatus(service, isServing ? 'SERVING' : 'NOT_SERVING');
  }

  readonly #record = (call: ServerDuplexStream<Received, BatchReply>): void => {
    const stream = new RecordStream(call, this.#options, (bug) => this.#bug.abort(bug));
    this.#streams.add(stream);
    call.once('close', () => this.#streams.delete(stream));
    call.once('cancelled', () => this.#streams.delete(stream));
  };

  readonly #recordBatch: handleUnaryCall<BatchRequest, BatchReply> = (call, callback) => void this.#answerOne(call.request, callback);

  async #answerOne(request: BatchRequest, callback: sendUnaryData<BatchReply>): Promise<void> {
    try {
      if (request instanceof Error) throw request;
      const reply = await this.#options.accept(request);
      if (reply.throttleMs === undefined) callback(null, reply);
      else callback(grpcStatus(status.RESOURCE_EXHAUSTED, 'the journal is full', reply.throttleMs));
    } catch (error) {
      const answer = statusOf(error);
      if (answer.code === status.INTERNAL) this.#bug.abort(error);
      callback(answer);
    }
  }
}

/**
 * HTTP/2's own window is 64 KiB, a fraction of a batch: a backlog then waits for one round trip after the other. grpc-js has an option for its
 * clients alone.
 */
function widenWindow(session: ServerHttp2Session): void {
  session.setLocalWindowSize(WINDOW_BYTES);
  session.settings({ initialWindowSize: WINDOW_BYTES });
}

/** Record with the size of each message beside it. */
const RECORD_METHOD = {
  ...eventService.Record,
  requestDeserialize: (bytes: Buffer): Received => ({
    bytes: bytes.length,
    request: decodeBatchOrError(bytes),
    release: () => undefined,
  }),
};

/** Resolves with `done`, or after `ms`. */
async function within(ms: number, done: Promise<unknown>, clock: Clock): Promise<void> {
  const timer = new AbortController();
  await Promise.race([done, clock.sleep(ms, timer.signal)]);
  timer.abort();
}
