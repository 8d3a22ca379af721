import { assert } from 'chai';
import { isFondacoError, type ErrorCode, type FondacoError } from '../../core/errors.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { deliveries, eventOf, largeLine, nastyLines, plainLines } from '../support/deliveries.ts';

/** What a destination has got, as far as its format can say it; `undefined` where the format leaves a field out. */
export interface Received {
  readonly id: string;
  readonly type: string;
  readonly severity: string;
  readonly time: string;
  readonly message: string;
  readonly source: { readonly site: string; readonly node: string; readonly component: string };
  readonly object?: unknown;
  readonly labels?: unknown;
  /** Text, not what JSON.parse makes of it. */
  readonly attributesText: string;
  readonly seq: number;
}

/** A real destination with a writer to it. A new one for each test. */
export interface Destination {
  readonly writer: Writer;
  /** The payload of each write that was taken, in order: what has to be the same for a repeat. */
  payloads(): readonly Buffer[];
  /** All events taken, in order. */
  received(): readonly Received[];
  /** From now on it takes nothing and answers nothing; resolves of what is written meanwhile have to wait. */
  hang(): void;
  close(): Promise<void>;
}

export interface WriterContractOptions {
  open(): Promise<Destination>;
  /** A writer to a place where nobody listens; absent where there is no such thing. */
  openUnreachable?(): Promise<Writer>;
}

/** What every writer has to keep. Run it once for each kind and format, against the real thing. */
export function writerContract(name: string, { open, openUnreachable }: WriterContractOptions): void {
  describe(`writer contract: ${name}`, () => {
    let destination: Destination;
    const never = new AbortController().signal;

    beforeEach(async () => {
      destination = await open();
    });
    afterEach(async () => {
      await destination.writer.close?.();
      await destination.close();
    });

    const write = async (batch: readonly Delivery[]): Promise<void> => destination.writer.write(batch, never);
    const events = (lines: readonly string[], labels?: Record<string, string>, first = 1): DecodedEvent[] =>
      lines.map((line, i) => eventOf(line, first + i, labels));

    it('hands a batch over whole and in order', async () => {
      const all = events(plainLines(1, 500), { region: 'eu', 'a "quoted" label': 'b\\c' });
      await write(deliveries(all.slice(0, 300)));
      await write(deliveries(all.slice(300), { first: 301 }));
      assertReceived(destination.received(), all);
      assert.deepEqual(
        destination.received().map(({ seq }) => seq),
        all.map((_, i) => i + 1),
      );
    });

    it('sends the same bytes when a batch comes again, whatever happened in between', async () => {
      const batch = deliveries(events([...nastyLines().slice(0, 40), ...plainLines(1, 20)], { region: 'eu' }));
      await write(batch);
      await write(deliveries(events(plainLines(900, 910), undefined, 900), { first: 900 }));
      await write(deliveries(events([...nastyLines().slice(0, 40), ...plainLines(1, 20)], { region: 'eu' })));
      const [first, , again] = destination.payloads();
      assert.isTrue(first !== undefined && again !== undefined && first.equals(again), 'the payload of a repeat differs');
    });

    it('hands nasty text over as it is', async () => {
      const all = events(nastyLines());
      await write(deliveries(all));
      assertReceived(destination.received(), all);
    });

    it('hands one event of the largest size over', async () => {
      const all = events([largeLine()]);
      await write(deliveries(all));
      assertReceived(destination.received(), all);
    });

    it('hands summaries over with a revision that tells them from their first', async () => {
      const first = eventOf(plainLines(1, 1)[0]!, 1);
      const summary = eventOf(plainLines(1, 1)[0]!, 1);
      Object.assign(summary, { id: `${first.id}.1`, revision: 1, count: 12, added: 11, summarizes: first.id });
      await write(deliveries([first, summary]));
      assert.deepEqual(
        destination.received().map(({ id }) => id),
        [first.id, `${first.id}.1`],
      );
    });

    it('takes both lanes at once', async () => {
      await Promise.all([
        write(deliveries(events(plainLines(1, 50)), { lane: 'normal' })),
        write(deliveries(events(plainLines(51, 100), undefined, 51), { lane: 'urgent' })),
      ]);
      assert.lengthOf(destination.received(), 100);
    });

    it('stops promptly when it is aborted, and rejects', async () => {
      destination.hang();
      const stop = new AbortController();
      const writing = destination.writer.write(deliveries(events(plainLines(1, 10))), stop.signal);
      const failed = code(writing);
      await new Promise((resolve) => setImmediate(resolve));
      stop.abort();
      assert.equal(await bounded(failed), 'UNAVAILABLE');
    });

    it('does not begin when it is aborted already', async () => {
      const failed = await bounded(code(destination.writer.write(deliveries(events(plainLines(1, 10))), AbortSignal.abort())));
      assert.equal(failed, 'UNAVAILABLE');
      assert.lengthOf(destination.received(), 0);
    });

    it('can be used again after an abort', async () => {
      await code(destination.writer.write(deliveries(events(plainLines(1, 3))), AbortSignal.abort()));
      await write(deliveries(events(plainLines(1, 3))));
      assert.lengthOf(destination.received(), 3);
    });

    it('rejects after it was closed, and may be closed twice', async () => {
      await destination.writer.close?.();
      await destination.writer.close?.();
      assert.equal(await code(write(deliveries(events(plainLines(1, 1))))), 'UNAVAILABLE');
      assert.lengthOf(destination.received(), 0);
    });

    if (openUnreachable) {
      it('is UNAVAILABLE where nobody listens, and says that the place was not reached', async () => {
        const writer = await openUnreachable();
        const error = await failure(writer.write(deliveries(events(plainLines(1, 1))), never));
        assert.equal(error.code, 'UNAVAILABLE');
        assert.isTrue(error.facts.unreachable);
        await writer.close?.();
      });
    }
  });
}

/** What a write rejects with; fails the test if it resolves. */
export async function failure(writing: Promise<void>): Promise<FondacoError> {
  try {
    await writing;
  } catch (error) {
    if (isFondacoError(error)) return error;
    throw error;
  }
  throw new Error('the write must reject, it resolved');
}

async function code(writing: Promise<void>): Promise<ErrorCode> {
  return (await failure(writing)).code;
}

async function bounded<T>(promise: Promise<T>, limitMs = 2000): Promise<T> {
  let limit: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new Error(`not within ${limitMs} ms`)), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(limit));
}

function assertReceived(received: readonly Received[], sent: readonly DecodedEvent[]): void {
  assert.lengthOf(received, sent.length);
  for (const [i, event] of sent.entries()) {
    const { id, type, severity, time, message, source, attributesText } = event;
    const { seq: _seq, object, labels, ...rest } = received[i]!;
    assert.deepEqual(rest, { id, type, severity, time, message, source: { ...source }, attributesText }, `event ${i + 1}`);
    assert.deepEqual(object, event.object, `object of event ${i + 1}`);
    assert.deepEqual(labels, event.labels, `labels of event ${i + 1}`);
  }
}
