import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Client, credentials, loadPackageDefinition, status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { assert } from 'chai';
import { protoPath, service as healthService } from 'grpc-health-check';
import type { Batch, BatchReply } from '../../core/batch.ts';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import { systemClock } from '../../core/clock.ts';
import { ProtobufReader } from '../../core/protobuf.ts';
import { decodeReply, encodeBatch } from '../../proto/batch-codec.ts';
import { formatAddress, type ListenAddress } from '../../proxy/address.ts';
import { GrpcInput, type GrpcInputOptions } from '../../proxy/inputs/grpc.ts';
import { Refusals } from '../../proxy/caller-refusals.ts';
import { eventually, settle } from '../support/fake-clock.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

const JOURNAL = '0199e0c4-7b1e-7000-8000-00000000000a';
const SERIES = Buffer.alloc(16, 7);
const LOOPBACK: ListenAddress = { host: '127.0.0.1', port: 0 };

interface Pending {
  readonly batch: Batch;
  readonly resolve: (reply: BatchReply) => void;
  readonly reject: (error: Error) => void;
}

/** Stands for the dispatcher: a test decides when a batch is durable, and what it is answered. */
class FakeAcceptor {
  readonly batches: Batch[] = [];
  readonly #pending: Pending[] = [];

  accept = (batch: Batch): Promise<BatchReply> => {
    this.batches.push(batch);
    return new Promise((resolve, reject) => this.#pending.push({ batch, resolve, reject }));
  };

  /** Makes the batch with this number (0, 1, 2 …, of those pending) durable. */
  settle(index = 0, reply: Partial<BatchReply> = {}): void {
    const [{ batch, resolve }] = this.#pending.splice(index, 1) as [Pending];
    resolve({ series: batch.series, settled: batch.after + batch.events.length, journal: JOURNAL, rejections: [], ...reply });
  }

  fail(error: Error, index = 0): void {
    this.#pending.splice(index, 1)[0]!.reject(error);
  }

  get pending(): number {
    return this.#pending.length;
  }
}

function batchOf(after: number, count = 1, bytes = 10): Batch {
  return {
    series: SERIES,
    lane: 'normal',
    after,
    settled: 0,
    settledBy: '',
    isGone: false,
    lost: [],
    events: Array.from({ length: count }, () => Buffer.alloc(bytes, 65)),
    isClosing: false,
    sender: { node: 'n1', component: 'test' },
  };
}

/** A Record call, with what came of it. */
class Recording {
  readonly replies: BatchReply[] = [];
  readonly call: ClientDuplexStream<Buffer, BatchReply>;
  end: { code: number; details: string; error?: ServiceError } | undefined;

  constructor(client: Client) {
    this.call = client.makeBidiStreamRequest<Buffer, BatchReply>('/fondaco.v1.EventService/Record', (bytes) => bytes, decodeReply);
    let failure: ServiceError | undefined;
    this.call.on('data', (reply: BatchReply) => this.replies.push(reply));
    this.call.on('error', (error: ServiceError) => (failure = error));
    this.call.on('status', ({ code, details }: { code: number; details: string }) => {
      this.end = { code, details, ...(failure && { error: failure }) };
    });
  }

  send(batch: Batch): void {
    this.call.write(encodeBatch(batch));
  }

  get isOver(): boolean {
    return this.end !== undefined;
  }

  get settled(): number[] {
    return this.replies.map((reply) => reply.settled);
  }
}

describe('gRPC input', () => {
  let acceptor: FakeAcceptor;
  let input: GrpcInput;
  let client: Client;
  let stop: AbortController;
  let running: Promise<void>;
  let isReady: boolean;

  async function start(options: Partial<GrpcInputOptions> = {}): Promise<void> {
    acceptor = new FakeAcceptor();
    isReady = true;
    const { accept } = acceptor;
    input = await GrpcInput.open({ address: LOOPBACK, accept, journal: JOURNAL, isReady: () => isReady, clock: systemClock(), ...options });
    client = new Client(formatAddress(input.address), credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
    stop = new AbortController();
    running = input.run(stop.signal);
    running.catch(() => {}); // the tests that expect a rejection look at it themselves
  }
  beforeEach(() => start());
  afterEach(async () => {
    client.close();
    stop.abort();
    while (acceptor.pending > 0) acceptor.settle();
    await running.catch(() => {});
  });

  describe('Record', () => {
    it('hands a batch over as it was sent', async () => {
      const recording = new Recording(client);
      const batch: Batch = {
        ...batchOf(41, 3),
        lane: 'urgent',
        settledBy: JOURNAL,
        isGone: true,
        lost: [{ first: 45, last: 47, cause: 'memory-full' }],
        isClosing: true,
      };
      recording.send(batch);
      await eventually(() => acceptor.batches.length === 1, 'the batch');
      const got = acceptor.batches[0]!;
      assert.deepEqual({ ...got, series: Buffer.from(got.series), events: got.events.map((event) => Buffer.from(event)) }, batch);
    });

    it('replies when the batch is durable, not before', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0));
      await eventually(() => acceptor.pending === 1, 'the batch');
      await settle(50);
      assert.lengthOf(recording.replies, 0);
      acceptor.settle();
      await eventually(() => recording.replies.length === 1, 'the reply');
      assert.deepEqual(recording.settled, [1]);
    });

    it('replies in the order of the batches, whichever is durable first', async () => {
      const recording = new Recording(client);
      for (let after = 0; after < 5; after++) recording.send(batchOf(after));
      await eventually(() => acceptor.pending === 5, 'five batches');
      for (let i = 4; i >= 1; i--) acceptor.settle(i);
      await settle(50);
      assert.lengthOf(recording.replies, 0);
      acceptor.settle(0);
      await eventually(() => recording.replies.length === 5, 'five replies');
      assert.deepEqual(recording.settled, [1, 2, 3, 4, 5]);
    });

    it('hands the next batch over while the one before is not durable yet', async () => {
      const recording = new Recording(client);
      for (let after = 0; after < 100; after++) recording.send(batchOf(after));
      await eventually(() => acceptor.pending === 100, 'a hundred batches');
    });

    it('carries expected, throttle and rejections', async () => {
      const recording = new Recording(client);
      for (let after = 0; after < 3; after++) recording.send(batchOf(after));
      await eventually(() => acceptor.pending === 3, 'three batches');
      acceptor.settle(0, { settled: 0, expected: 7 });
      acceptor.settle(0, { settled: 0, throttleMs: 1500 });
      acceptor.settle(0, { rejections: [{ seq: 3, reason: 'type must be given, got nothing' }] });
      await eventually(() => recording.replies.length === 3, 'three replies');
      assert.deepInclude(recording.replies[0], { expected: 7 });
      assert.deepInclude(recording.replies[1], { throttleMs: 1500 });
      assert.deepInclude(recording.replies[2], { rejections: [{ seq: 3, reason: 'type must be given, got nothing' }] });
    });

    it('throttles in band for FULL, and the stream goes on', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0));
      await eventually(() => acceptor.pending === 1, 'the batch');
      acceptor.fail(new FondacoError('FULL', 'no room', { retryAfterMs: 250 }));
      await eventually(() => recording.replies.length === 1, 'the reply');
      assert.deepInclude(recording.replies[0], { settled: 0, throttleMs: 250, journal: JOURNAL });
      recording.send(batchOf(0));
      await eventually(() => acceptor.pending === 1, 'the batch again');
      acceptor.settle();
      await eventually(() => recording.replies.length === 2, 'the second reply');
    });

    it('ends the stream with UNAVAILABLE while the journal is reopened, after the replies that are due', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0));
      recording.send(batchOf(1));
      await eventually(() => acceptor.pending === 2, 'two batches');
      acceptor.fail(new FondacoError('UNAVAILABLE', 'the journal is being reopened'), 1);
      await settle(20);
      assert.isFalse(recording.isOver);
      acceptor.settle(0);
      await eventually(() => recording.end !== undefined, 'the end');
      assert.deepEqual(recording.settled, [1]);
      assert.equal(recording.end?.code, status.UNAVAILABLE);
      assert.include(recording.end?.details, 'the journal is being reopened');
    });

    const malformed: [name: string, bytes: Buffer, says: string][] = [
      ['bytes that are no message', Buffer.from('ffffffffff', 'hex'), 'must be a fondaco.v1.Batch message'],
      ['a series that is no UUID', encodeBatch({ ...batchOf(0), series: Buffer.from('short') }), 'series must be 16 bytes, got 5'],
      [
        'a lane that is none',
        Buffer.concat([encodeBatch(batchOf(0)), Buffer.from([0x40, 9])]),
        'lane must be 0 (normal) or 1 (urgent), got 9',
      ],
      [
        'lost ranges before after',
        encodeBatch({ ...batchOf(10), lost: [{ first: 2, last: 3, cause: 'corrupt' }] }),
        'lost[0].first must be greater than 10',
      ],
      ['too many events', encodeBatch(batchOf(0, 10_001, 1)), 'events must be at most 10000, got more'],
    ];
    for (const [name, bytes, says] of malformed) {
      it(`ends the stream with INVALID_ARGUMENT for ${name}, answers what came before, and harms no other stream`, async () => {
        const [bad, good] = [new Recording(client), new Recording(client)];
        bad.send(batchOf(0));
        bad.call.write(bytes);
        bad.send(batchOf(1));
        good.send(batchOf(5));
        await eventually(() => acceptor.pending === 2, 'the good batches');
        await settle(20);
        assert.isFalse(bad.isOver);
        acceptor.settle(0);
        acceptor.settle(0);
        await eventually(() => bad.end !== undefined, 'the end');
        assert.equal(bad.end?.code, status.INVALID_ARGUMENT);
        assert.include(bad.end?.details, says);
        assert.lengthOf(bad.replies, 1);
        await eventually(() => good.replies.length === 1, 'the reply of the other stream');
        assert.lengthOf(acceptor.batches, 2);
        assert.isFalse(good.isOver);
      });
    }

    it('refuses a message beyond 4 MiB, and takes one just below', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0, 1, 4 * 1024 * 1024 - 200));
      await eventually(() => acceptor.pending === 1, 'the large batch');
      acceptor.settle();
      await eventually(() => recording.replies.length === 1, 'its reply');
      recording.send(batchOf(1, 1, 4 * 1024 * 1024));
      await eventually(() => recording.end !== undefined, 'the end');
      assert.equal(recording.end?.code, status.RESOURCE_EXHAUSTED);
    });

    it('takes no more of a stream than its bound, and goes on when replies make room', async () => {
      stop.abort();
      await running;
      client.close();
      await start({ unansweredBytesMax: 100_000 });
      const recording = new Recording(client);
      for (let after = 0; after < 30; after++) recording.send(batchOf(after, 1, 20_000));
      await eventually(() => acceptor.pending > 0, 'the first batches');
      await settle(200);
      assert.equal(acceptor.batches.length, 4); // the fifth, with its frame, does not fit
      const other = new Recording(client);
      other.send(batchOf(0));
      await eventually(() => acceptor.batches.length === 5, 'a batch of another stream');
      for (let done = 0; done < 31; done++) {
        await eventually(() => acceptor.pending > 0, `batch ${done}`);
        assert.isAtMost(acceptor.pending, 5);
        acceptor.settle();
      }
      await eventually(() => recording.replies.length === 30, 'all replies');
      assert.deepEqual(
        recording.settled,
        Array.from({ length: 30 }, (_, i) => i + 1),
      );
    });

    it('takes no more of all streams together than twice that, from each its share, and gives the room of one that is gone to the others', async () => {
      stop.abort();
      await running;
      client.close();
      await start({ unansweredBytesMax: 100_000 });
      const recordings = Array.from({ length: 5 }, () => new Recording(client));
      const countOf = (stream: number): number => acceptor.batches.filter(({ series }) => series[0] === stream).length;
      for (const [stream, recording] of recordings.entries())
        for (let after = 0; after < 20; after++) recording.send({ ...batchOf(after, 1, 20_000), series: Buffer.alloc(16, stream) });
      await eventually(() => recordings.every((_, stream) => countOf(stream) > 0), 'something of each stream');
      await settle(200);
      assert.isAtMost(acceptor.pending, 9 + 1, 'two hundred thousand bytes, and one message of who had none');
      const gone = acceptor.pending;
      recordings[0]!.call.cancel();
      await eventually(() => recordings[0]!.end !== undefined, 'the end');
      await eventually(() => acceptor.pending > gone, 'its room is taken');
      while (recordings.slice(1).some(({ replies }) => replies.length < 10)) {
        await eventually(() => acceptor.pending > 0, 'more');
        acceptor.settle();
        await settle(5);
      }
      const counts = [1, 2, 3, 4].map(countOf);
      assert.isAtMost(Math.max(...counts) - Math.min(...counts), 6, `from each its share, got ${counts.join()}`);
      const isDone = (): boolean => recordings.slice(1).every(({ replies }) => replies.length === 20);
      while (!isDone()) {
        await eventually(() => acceptor.pending > 0 || isDone(), 'the rest');
        if (acceptor.pending > 0) acceptor.settle();
      }
    });

    it('takes a batch larger than the bound when it is alone', async () => {
      stop.abort();
      await running;
      client.close();
      await start({ unansweredBytesMax: 1000 });
      const recording = new Recording(client);
      for (let after = 0; after < 3; after++) recording.send(batchOf(after, 1, 5000));
      for (let done = 0; done < 3; done++) {
        await eventually(() => acceptor.pending === 1, 'the batch');
        acceptor.settle();
      }
      await eventually(() => recording.replies.length === 3, 'the replies');
    });

    it('answers what was sent before a half-close, then ends the stream in good order', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0));
      recording.send(batchOf(1));
      recording.call.end();
      await eventually(() => acceptor.pending === 2, 'two batches');
      await settle(20);
      assert.isFalse(recording.isOver);
      acceptor.settle();
      acceptor.settle();
      await eventually(() => recording.end !== undefined, 'the end');
      assert.equal(recording.end?.code, status.OK);
      assert.deepEqual(recording.settled, [1, 2]);
    });

    it('survives a sender that goes away before its reply', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0));
      await eventually(() => acceptor.pending === 1, 'the batch');
      recording.call.cancel();
      await eventually(() => recording.end !== undefined, 'the end');
      acceptor.settle();
      const next = new Recording(client);
      next.send(batchOf(0));
      await eventually(() => acceptor.pending === 1, 'the next batch');
      acceptor.settle();
      await eventually(() => next.replies.length === 1, 'its reply');
    });

    it('ends run with a bug of the acceptor instead of hiding it', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0));
      await eventually(() => acceptor.pending === 1, 'the batch');
      acceptor.fail(new TypeError('a bug'));
      let failure: unknown;
      await running.catch((error: unknown) => (failure = error));
      assert.instanceOf(failure, TypeError);
      await eventually(() => recording.end !== undefined, 'the end');
      assert.equal(recording.end?.code, status.INTERNAL);
    });
  });

  describe('RecordBatch', () => {
    const call = (bytes: Buffer): Promise<BatchReply | ServiceError> =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          '/fondaco.v1.EventService/RecordBatch',
          (message: Buffer) => message,
          decodeReply,
          bytes,
          (error, reply) => resolve(error ?? reply!),
        );
      });
    /** RetryInfo.retry_delay of a google.rpc.Status in the trailer, in seconds and nanos. */
    const retryDelay = (error: ServiceError): [string, number, number] => {
      const [details] = error.metadata.get('grpc-status-details-bin') as Buffer[];
      const any = fields(details!).get(3) as Buffer;
      const type = (fields(any).get(1) as Buffer).toString();
      const duration = fields(fields(any).get(2) as Buffer).get(1) as Buffer;
      return [type, Number(fields(duration).get(1) ?? 0), Number(fields(duration).get(2) ?? 0)];
    };

    it('answers when durable', async () => {
      const answer = call(encodeBatch(batchOf(0, 2)));
      await eventually(() => acceptor.pending === 1, 'the batch');
      acceptor.settle();
      assert.deepInclude(await answer, { settled: 2, journal: JOURNAL });
    });

    it('is RESOURCE_EXHAUSTED with RetryInfo when the journal is full, rejected or throttled', async () => {
      const outcomes = [
        () => acceptor.fail(new FondacoError('FULL', 'no room', { retryAfterMs: 2500 })),
        () => acceptor.settle(0, { throttleMs: 2500, settled: 0 }),
      ];
      for (const outcome of outcomes) {
        const answer = call(encodeBatch(batchOf(0)));
        await eventually(() => acceptor.pending === 1, 'the batch');
        outcome();
        const error = (await answer) as ServiceError;
        assert.equal(error.code, status.RESOURCE_EXHAUSTED);
        assert.deepEqual(retryDelay(error), ['type.googleapis.com/google.rpc.RetryInfo', 2, 500_000_000]);
      }
    });

    it('is UNAVAILABLE while the journal is reopened, INVALID_ARGUMENT for a message that is no batch', async () => {
      const answer = call(encodeBatch(batchOf(0)));
      await eventually(() => acceptor.pending === 1, 'the batch');
      acceptor.fail(new FondacoError('UNAVAILABLE', 'the journal is being reopened'));
      assert.equal(((await answer) as ServiceError).code, status.UNAVAILABLE);
      const invalid = (await call(Buffer.from('ffff', 'hex'))) as ServiceError;
      assert.equal(invalid.code, status.INVALID_ARGUMENT);
      assert.include(invalid.details, 'must be a fondaco.v1.Batch message');
    });

    it('is UNIMPLEMENTED for a method that there is not', async () => {
      const error = await new Promise<ServiceError | null>((resolve) => {
        const same = (message: Buffer): Buffer => message;
        client.makeUnaryRequest('/fondaco.v1.EventService/Nothing', same, same, Buffer.alloc(0), (failure) => resolve(failure));
      });
      assert.equal(error?.code, status.UNIMPLEMENTED);
    });
  });

  describe('standard services', () => {
    const check = (name: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const { path, requestSerialize, responseDeserialize } = healthService.Check!;
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service: name }, (error, answer) =>
          error ? reject(error) : resolve((answer as unknown as { status: string }).status),
        );
      });

    it('health speaks of ingest', async () => {
      assert.isTrue(existsSync(protoPath));
      for (const name of ['', 'fondaco.v1.EventService']) assert.equal(await check(name), 'SERVING');
      isReady = false;
      let last: unknown;
      await eventually(() => {
        void check('').then((answer) => (last = answer));
        return last === 'NOT_SERVING';
      }, 'NOT_SERVING');
    });

    it('reflection lists the services and describes ours', async () => {
      const definition = loadSync(
        join(import.meta.dirname, '../../node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto'),
      );
      const { grpc } = loadPackageDefinition(definition) as unknown as {
        grpc: { reflection: { v1: { ServerReflection: new (address: string, c: unknown) => ReflectionClient } } };
      };
      const reflection = new grpc.reflection.v1.ServerReflection(formatAddress(input.address), credentials.createInsecure());
      const ask = (request: object): Promise<{ listServicesResponse?: { service: { name: string }[] }; fileDescriptorResponse?: object }> =>
        new Promise((resolve, reject) => {
          const stream = reflection.ServerReflectionInfo();
          stream.once('data', (answer: object) => {
            stream.end();
            resolve(answer);
          });
          stream.once('error', reject);
          stream.write(request);
        });
      const listed = await ask({ listServices: '' });
      const names = listed.listServicesResponse?.service.map(({ name }) => name) ?? [];
      assert.include(names, 'fondaco.v1.EventService');
      const described = await ask({ fileContainingSymbol: 'fondaco.v1.EventService' });
      assert.isDefined(described.fileDescriptorResponse);
      reflection.close();
    });
  });

  describe('stopping', () => {
    it('answers what was taken, takes nothing more, ends streams with UNAVAILABLE, and resolves', async () => {
      const recording = new Recording(client);
      recording.send(batchOf(0));
      await eventually(() => acceptor.pending === 1, 'the batch');
      stop.abort();
      await settle(20);
      recording.send(batchOf(1));
      await settle(50);
      assert.isFalse(recording.isOver);
      assert.lengthOf(acceptor.batches, 1);
      acceptor.settle();
      await eventually(() => recording.end !== undefined, 'the end');
      assert.deepEqual(recording.settled, [1]);
      assert.equal(recording.end?.code, status.UNAVAILABLE);
      await running;
    });

    it('leaves the address free', async () => {
      stop.abort();
      await running;
      const again = await GrpcInput.open({
        address: input.address,
        accept: acceptor.accept,
        journal: JOURNAL,
        isReady: () => true,
        clock: systemClock(),
      });
      await again.run(AbortSignal.abort());
    });
  });

  it('closes connections beyond its limit at once, whatever they send, and serves those that it has', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const told: unknown[][] = [];
      const refusals = new Refusals(systemClock(), (...each) => told.push(each));
      const address = { host, port: 0 };
      const limited = await GrpcInput.open({
        ...{ address, accept: acceptor.accept, journal: JOURNAL, isReady: () => true, clock: systemClock() },
        ...{ connectionsMax: 2, refusals },
      });
      const { port } = limited.address as { port: number };
      const open = (): { socket: Socket; isClosed: boolean } => {
        const connection = { socket: connect(port, '127.0.0.1'), isClosed: false };
        connection.socket.on('error', () => undefined).once('close', () => (connection.isClosed = true));
        connection.socket.resume();
        return connection;
      };
      const idle = [open(), open()];
      await Promise.all(idle.map(({ socket }) => once(socket, 'connect')));
      const beyond = open();
      await until('it is closed', () => beyond.isClosed);
      assert.deepEqual(told, [[1, '127.0.0.1', 'at most 2 connections at a time']]);
      assert.deepEqual(
        idle.map(({ isClosed }) => isClosed),
        [false, false],
      );
      for (const { socket } of idle) socket.destroy();
      await limited.run(AbortSignal.abort());
    }
  });

  describe('addresses', () => {
    const open = (address: ListenAddress): Promise<GrpcInput> =>
      GrpcInput.open({ address, accept: acceptor.accept, journal: JOURNAL, isReady: () => true, clock: systemClock() });
    const failure = async (promise: Promise<GrpcInput>): Promise<FondacoError> => {
      try {
        await (await promise).run(AbortSignal.abort());
      } catch (error) {
        if (isFondacoError(error)) return error;
        throw error;
      }
      throw new Error('it must reject');
    };

    it('is UNAVAILABLE for a port that is taken, and says so', async () => {
      const error = await failure(open(input.address));
      assert.equal(error.code, 'UNAVAILABLE');
      assert.include(error.message, `${formatAddress(input.address)} is in use`);
    });

    it('listens on a unix socket, also where a killed process left one, and not where somebody listens', async () => {
      const { path, remove } = await tempDirectory();
      const socket = { path: join(path, 'proxy.sock') };
      const left = createServer().listen(socket.path);
      await new Promise((resolve) => left.once('listening', resolve));
      assert.include((await failure(open(socket))).message, 'is in use by another process');
      await leaveSocket(left, socket.path);
      const listening = await open(socket);
      const local = new Client(`unix:${socket.path}`, credentials.createInsecure());
      const ready = listening.run(stop.signal);
      await new Promise<void>((resolve, reject) => local.waitForReady(Date.now() + 3000, (error) => (error ? reject(error) : resolve())));
      local.close();
      stop.abort();
      await ready;
      await remove();
    });
  });
});

interface ReflectionClient {
  ServerReflectionInfo(): ClientDuplexStream<object, object>;
  close(): void;
}

/** Stops listening but leaves the file, as a SIGKILL does. */
async function leaveSocket(server: ReturnType<typeof createServer>, path: string): Promise<void> {
  const { linkSync, renameSync } = await import('node:fs');
  linkSync(path, `${path}.kept`);
  await new Promise((resolve) => server.close(resolve));
  renameSync(`${path}.kept`, path);
}

/** The last value of each field of a message. */
function fields(bytes: Buffer): Map<number, Buffer | number> {
  const found = new Map<number, Buffer | number>();
  for (const reader = new ProtobufReader().over(bytes); reader.next();) {
    found.set(reader.field, reader.wireType === 2 ? Buffer.from(reader.content()) : reader.value);
  }
  return found;
}
