/**
 * fondaco.v1.EventService, with standard health and reflection.
 *
 * On a Record stream every batch goes to `accept` as it comes, and the replies go back in the order of the batches, each when its
 * promise has resolved, which is when it is durable. What a stream has sent and was not answered is bounded in bytes: beyond that no
 * further message of it is taken, and HTTP/2's flow control stops the sender.
 */
import {
  logVerbosity,
  Server,
  ServerInterceptingCall,
  setLogVerbosity,
  status,
  type handleUnaryCall,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Batch, BatchReply } from '../../core/batch.ts';
import type { Clock } from '../../core/clock.ts';
import { asError, isFondacoError } from '../../core/errors.ts';
import { decodeBatchOrError } from '../../proto/batch-codec.ts';
import { eventService, packageDefinition, type BatchRequest } from '../../proto/load.ts';
import { clearSocket, formatAddress, listenError, type ListenAddress } from '../address.ts';
import type { Gate } from '../gate.ts';
import type { ListenTls } from '../listen-tls.ts';
import { boundListener, type ListenerLimits } from '../listeners.ts';
import { admit, serverCredentials, serversOf } from './grpc-access.ts';
import { grpcStatus, type GrpcStatus } from './grpc-status.ts';

const MIB = 1024 * 1024;
const MESSAGE_BYTES_MAX = 4 * MIB;
/** What one stream may have sent without an answer. */
const UNANSWERED_BYTES_MAX = 16 * MIB;
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

/** A message of a Record stream, with what gives its room back. */
interface Received {
  readonly bytes: number;
  readonly request: BatchRequest;
  readonly release: () => void;
}

type RecordCall = ServerDuplexStream<Received, BatchReply>;

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
    const server = new Server({
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
      'grpc.keepalive_time_ms': 60_000,
      'grpc.keepalive_timeout_ms': 20_000,
      interceptors: [...(options.gate ? [admit(options.gate)] : []), boundStreams(options.unansweredBytesMax ?? UNANSWERED_BYTES_MAX)],
    });
    try {
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync(formatAddress(options.address), serverCredentials(options.tls), (error, bound) =>
          error ? reject(error) : resolve(bound),
        );
      });
      boundListener(serversOf(server), options);
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

  readonly #record = (call: RecordCall): void => {
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

/** One Record call. */
class RecordStream {
  readonly #call: RecordCall;
  readonly #options: GrpcInputOptions;
  readonly #onBug: (bug: unknown) => void;
  /** Resolves when everything taken so far is answered; replies hang on it one after the other, which is their order. */
  #answered: Promise<void> = Promise.resolve();
  #isEnded = false;
  #sender: Batch['sender'] | undefined;

  constructor(call: RecordCall, options: GrpcInputOptions, onBug: (bug: unknown) => void) {
    this.#call = call;
    this.#options = options;
    this.#onBug = onBug;
    call.on('data', (received: Received) => this.#take(received));
    call.once('end', () => this.#then(async () => this.#end()));
    call.once('cancelled', () => (this.#isEnded = true));
  }

  /** Takes nothing more; resolves when what was taken is answered and the stream has ended. */
  async stop(): Promise<void> {
    this.#call.removeAllListeners('data');
    this.#call.pause();
    this.#then(async () => this.#end(grpcStatus(status.UNAVAILABLE, 'the proxy is stopping: connect again')));
    await this.#answered;
  }

  #take({ request: received, release }: Received): void {
    const request = received instanceof Error ? received : this.#named(received);
    if (request instanceof Error) {
      // What came before it is answered first.
      this.#call.pause();
      this.#then(async () => {
        release();
        this.#end(statusOf(request));
      });
      return;
    }
    const accepted = this.#accept(request);
    this.#then(async () => {
      const result = await accepted;
      if (result instanceof Error) this.#fail(request, result);
      else await this.#reply(result);
      release();
    });
  }

  /** A sender names itself once a stream; its losses are to name it whichever batch they come with. */
  #named(batch: Batch): Batch {
    if (batch.sender.node !== '' || batch.sender.component !== '') this.#sender = batch.sender;
    return this.#sender === undefined ? batch : { ...batch, sender: this.#sender };
  }

  /** The reply, or the error as a value: it waits for its turn, and a rejection that waits would count as unhandled. */
  async #accept(batch: Batch): Promise<BatchReply | Error> {
    try {
      return await this.#options.accept(batch);
    } catch (error) {
      return asError(error);
    }
  }

  #fail(batch: Batch, error: Error): void {
    const answer = statusOf(error);
    if (answer.code === status.INTERNAL) this.#onBug(error);
    if (this.#isEnded) return;
    if (isFondacoError(error, 'FULL')) {
      const { retryAfterMs = 1000 } = error.facts;
      // settled 0 says nothing new: what a sender knows to be settled stays so.
      this.#call.write({ series: batch.series, settled: 0, journal: this.#options.journal, throttleMs: retryAfterMs, rejections: [] });
      return;
    }
    this.#end(answer);
  }

  /** Waits where the sender does not read its replies, so that they do not pile up either. */
  async #reply(reply: BatchReply): Promise<void> {
    if (this.#isEnded || this.#call.write(reply)) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        this.#call.off('drain', go).off('cancelled', go);
        resolve();
      };
      this.#call.on('drain', go).on('cancelled', go);
    });
  }

  #end(answer?: GrpcStatus): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (answer) this.#call.emit('error', answer);
    else this.#call.end();
  }

  #then(step: () => Promise<void>): void {
    this.#answered = this.#answered.then(step);
    this.#answered.catch(this.#onBug);
  }
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

/**
 * Hands the next message of a Record stream on when the unanswered ones leave room for it. Pausing the call alone would not do: a paused
 * stream of grpc-js still reads ahead sixteen messages, whatever their size.
 */
function boundStreams(bytesMax: number): ServerInterceptor {
  return (method, call) => {
    if (method.path !== eventService.Record.path) return new ServerInterceptingCall(call);
    /** Bytes handed on and not answered, and the one message that waits for room. */
    let unanswered = 0;
    let waiting: { readonly bytes: number; readonly step: () => void } | undefined;
    const hasRoom = (bytes: number): boolean => unanswered === 0 || unanswered + bytes <= bytesMax;
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMessage: (received: Received, nextMessage: (received: Received) => void) => {
            const { bytes } = received;
            const release = (): void => {
              unanswered -= bytes;
              if (waiting === undefined || !hasRoom(waiting.bytes)) return;
              const { step } = waiting;
              waiting = undefined;
              step();
            };
            const step = (): void => {
              unanswered += bytes;
              nextMessage({ ...received, release });
            };
            if (hasRoom(bytes)) step();
            else waiting = { bytes, step };
          },
        }),
    });
  };
}

function statusOf(error: unknown): GrpcStatus {
  if (!isFondacoError(error)) return grpcStatus(status.INTERNAL, asError(error).message);
  const { text, facts } = error;
  if (error.code === 'REJECTED') return grpcStatus(status.INVALID_ARGUMENT, text);
  if (error.code === 'FULL') return grpcStatus(status.RESOURCE_EXHAUSTED, text, facts.retryAfterMs ?? 1000);
  if (error.code === 'UNAVAILABLE') return grpcStatus(status.UNAVAILABLE, text, facts.retryAfterMs);
  if (error.code === 'CORRUPT') return grpcStatus(status.DATA_LOSS, text);
  return grpcStatus(status.INTERNAL, text);
}

/** Resolves with `done`, or after `ms`. */
async function within(ms: number, done: Promise<unknown>, clock: Clock): Promise<void> {
  const timer = new AbortController();
  await Promise.race([done, clock.sleep(ms, timer.signal)]);
  timer.abort();
}
