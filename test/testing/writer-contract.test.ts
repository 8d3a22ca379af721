/** The published contract: a writer that keeps it passes, and each way of breaking it is found by the case that is meant for it. */
import { setTimeout as pause } from 'node:timers/promises';
import { assert } from 'chai';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import type { Received } from '../../testing/contract/received.ts';
import { writerContract, type WriterContractOptions } from '../../testing/writer-contract.ts';
import { nobody, Shelf, shelfOptions, ShelfWriter } from './shelf.ts';

// The names of the cases.
const WHOLE = 'hands a batch over whole and in order';
const LANES = 'takes both lanes at once';
const CUTS = 'takes a batch that comes again, also in other cuts';
const BYTES = 'sends the same bytes when a batch comes again, whatever happened in between';
const LIFE = 'sends the same bytes in another life, after a restart of the proxy';
const ABORT = 'stops promptly when it is aborted, and rejects';
const ABORTED = 'does not begin when it is aborted already';
const AGAIN = 'can be used again after an abort';
const CLOSE = 'rejects after it was closed, and may be closed twice';
const NOBODY = 'is UNAVAILABLE where nobody listens, and says that the place was not reached';
const SLOW = 'waits for a destination that is slow, and sends nothing twice';
const REPLY = 'is UNAVAILABLE when the reply is lost after all was taken, and the same batch again is harmless';
const PARTIAL = 'says no more than what was taken when a batch fails half way, and the rest goes through';
const POISON = 'is REJECTED for an event that is refused for good, so that it can be told from the others';
const RESTART = 'goes on when the destination was restarted between two batches';

type Options = Partial<WriterContractOptions<Shelf>>;

/** The names of the cases that fail, with what they say; of those that are looked at. */
async function failures(options: Options, looksAt: (name: string) => boolean = () => true): Promise<Map<string, string>> {
  const failed = new Map<string, string>();
  for (const { name, run } of writerContract({ ...shelfOptions, withinMs: 2000, ...options })) {
    if (looksAt(name)) await run().catch((error: unknown) => failed.set(name, String(error)));
  }
  return failed;
}

/** A writer whose write is another. */
function writing(
  write: (this: ShelfWriter, batch: readonly Delivery[], signal: AbortSignal) => Promise<void>,
  more: Partial<Writer> = {},
): Options {
  return { openWriter: (shelf) => Object.assign(new ShelfWriter(shelf), { write, ...more }) };
}

const good = ShelfWriter.prototype.write;

/** The error of a good write, as another one. */
function failing(change: (error: FondacoError) => Error | undefined): Options {
  return writing(async function (batch, signal) {
    try {
      await good.call(this, batch, signal);
    } catch (error) {
      assert.isTrue(isFondacoError(error));
      const other = change(error as FondacoError);
      if (other) throw other;
    }
  });
}

let writes = 0;
let lives = 0;

/** Lines that have something more at their end. */
function marked(mark: () => string): Options {
  return writing(async function (batch, signal) {
    const marking = batch.map((each) => ({ ...each, delivery: { ...each.delivery, writer: `ops-${mark()}` } }));
    await good.call(this, marking, signal);
  });
}

const BROKEN: readonly [what: string, options: Options, fails: string, says: RegExp][] = [
  [
    'leaves the last event out',
    writing(async function (batch, signal) {
      await good.call(this, batch.slice(0, -1), signal);
    }),
    WHOLE,
    /must have all 120 events, got 119; the first that is missing is ".*-120"/,
  ],
  [
    'turns a batch round',
    writing(async function (batch, signal) {
      await good.call(this, [...batch].reverse(), signal);
    }),
    WHOLE,
    /in the order of the batch, got ".*-120" as number 1 instead of ".*-1"/,
  ],
  [
    'resolves too early',
    writing(async function (batch, signal) {
      void good.call(this, batch, signal).catch(() => undefined);
    }),
    WHOLE,
    /must have all 120 events, got 0/,
  ],
  [
    'changes an event',
    writing(async function (batch, signal) {
      Object.assign(batch[0]!.event, { message: 'mine' });
      await good.call(this, batch, signal);
    }),
    WHOLE,
    /read only property 'message'/,
  ],
  [
    'changes what it is given',
    writing(async function (batch, signal) {
      (batch as Delivery[]).length = 1;
      await good.call(this, batch, signal);
    }),
    WHOLE,
    /got 1;/,
  ],
  [
    'sends events one by one, all at once',
    writing(async function (batch, signal) {
      await Promise.all(
        batch.map(async (each, i) => {
          await pause(i === 0 ? 5 : 0);
          await good.call(this, [each], signal);
        }),
      );
    }),
    WHOLE,
    /in the order/,
  ],
  [
    'loses a lane',
    writing(async function (batch, signal) {
      if (batch[0]!.delivery.lane === 'normal') await good.call(this, batch, signal);
    }),
    LANES,
    /must have all 50 events, got 0/,
  ],
  ['gives a repeat another number', marked(() => String(++writes)), BYTES, /same bytes, .*ops-\d+.*, got .*ops-\d+/],
  [
    'does not heed its abort',
    {
      ...writing(async function (batch) {
        if (this.shelf.isHanging) await new Promise(() => undefined);
        await good.call(this, batch, new AbortController().signal);
      }),
      withinMs: 300,
    },
    ABORT,
    /must be done within 300 ms/,
  ],
  [
    'takes an abort for success',
    writing(async function (batch, signal) {
      await good.call(this, batch, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }),
    ABORT,
    /must be UNAVAILABLE, got that it resolved/,
  ],
  [
    'begins although it was aborted',
    writing(async function (batch, signal) {
      await this.shelf.take(
        batch.map((each) => JSON.stringify({ ...each.event, attributes: {}, delivery: each.delivery })),
        new AbortController().signal,
      );
      if (signal.aborted) throw new FondacoError('UNAVAILABLE', 'stopped');
    }),
    ABORTED,
    /nothing else|must have/,
  ],
  [
    'is spoilt by an abort',
    writing(async function (batch, signal) {
      this.isClosed ||= signal.aborted;
      await good.call(this, batch, signal);
    }),
    AGAIN,
    /it is closed or stopped/,
  ],
  [
    'goes on after its end',
    { openWriter: (shelf) => Object.assign(new ShelfWriter(shelf), { close: undefined }) },
    CLOSE,
    /must be UNAVAILABLE, got that it resolved/,
  ],
  [
    'refuses where nobody listens',
    {
      openUnreachable: () => ({
        write: async () => {
          throw new FondacoError('REFUSED', 'nobody');
        },
      }),
    },
    NOBODY,
    /it must be UNAVAILABLE, got \[REFUSED\] nobody/,
  ],
  [
    'does not say that nobody listens',
    { openUnreachable: () => nobody({} as never) },
    NOBODY,
    /must have the fact \{ unreachable: true \}, got undefined/,
  ],
  [
    'tries again by itself',
    writing(async function (batch, signal) {
      const first = good.call(this, batch, signal);
      if (this.shelf.isSlow) await good.call(this, batch, signal);
      await first;
    }),
    SLOW,
    /must be there once, it was sent once; got it again/,
  ],
  [
    'takes a lost reply for a refusal',
    failing((error) => (error.message.includes('broke') ? new FondacoError('REFUSED', 'broke') : error)),
    REPLY,
    /must be UNAVAILABLE, got \[REFUSED\] broke/,
  ],
  [
    'takes a lost reply for success',
    failing((error) => (error.message.includes('broke') ? undefined : error)),
    REPLY,
    /got that it resolved/,
  ],
  [
    'says that more was taken than was',
    failing((error) => (error.facts.taken === 3 ? new FondacoError(error.code, error.text, { taken: 4 }) : error)),
    PARTIAL,
    /3 at most, got 4/,
  ],
  [
    'blames the neighbour',
    failing((error) =>
      error.code === 'REJECTED' && error.facts.taken! > 0
        ? new FondacoError('REJECTED', 'this one', { taken: error.facts.taken! - 1 })
        : error,
    ),
    POISON,
    /-4 alone must be REJECTED, got \[".*-3","/,
  ],
  [
    'tries a poison for ever',
    failing((error) => (error.code === 'REJECTED' ? new FondacoError('UNAVAILABLE', 'perhaps later') : error)),
    POISON,
    /refused for good must be REJECTED, got \[UNAVAILABLE\] perhaps later/,
  ],
  [
    'passes over a poison',
    failing((error) => (error.code === 'REJECTED' ? undefined : error)),
    POISON,
    /-4 alone must be REJECTED, got \[\]/,
  ],
  [
    'holds on to a dead connection',
    {
      ...writing(async function (batch, signal) {
        if (this.life !== this.shelf.life) throw new FondacoError('UNAVAILABLE', 'EPIPE');
        await good.call(this, batch, signal);
      }),
      withinMs: 200,
    },
    RESTART,
    /all of a batch is delivered/,
  ],
  [
    'refuses after a restart',
    failing((error) => (error.message.includes('closed') ? new FondacoError('REFUSED', 'EPIPE') : error)),
    RESTART,
    /what passes must be UNAVAILABLE, got \[REFUSED\] EPIPE/,
  ],
  [
    'writes a repeat again, where each is to be there once',
    { resend: 'once' },
    CUTS,
    /must be there once, also when it comes again; got it again/,
  ],
  ['keeps a long note', writing(good, { note: () => 'n'.repeat(5000) }), LIFE, /4 KiB at most, got 5000 bytes/],
  [
    'has a number of its own in what it sends',
    {
      openWriter: async (shelf) => {
        const life = String(++lives);
        return marked(() => life).openWriter!(shelf);
      },
    },
    LIFE,
    /same bytes/,
  ],
];

describe('the contract of writers', () => {
  it('is kept by one that keeps it, once or at least once', async () => {
    assert.deepEqual(await failures({}), new Map());
    assert.deepEqual(await failures({ resend: 'once', open: () => new Shelf(true) }), new Map());
    assert.isTrue(writerContract(shelfOptions).every(({ skip }) => skip === false));
  });

  for (const [what, options, fails, says] of BROKEN) {
    it(`finds one that ${what}`, async () => {
      const failed = await failures(options, (name) => name === fails);
      assert.match(failed.get(fails) ?? 'it does not', says);
    });
  }

  it('lists what a destination cannot be made to do, and does not pass it', async () => {
    const { restart: _, slow: __, ...options } = shelfOptions;
    const left = writerContract(options).filter(({ skip }) => skip !== false);
    assert.deepEqual(
      left.map(({ name, skip }) => [name, skip]),
      [
        [`${SLOW} (left out: the destination has no slow)`, 'left out: the destination has no slow'],
        [`${RESTART} (left out: the destination has no restart)`, 'left out: the destination has no restart'],
      ],
    );
    await left[0]!.run().then(
      () => assert.fail('it must not pass'),
      (error: unknown) => assert.equal(String(error), 'Error: left out: the destination has no slow'),
    );
  });

  it('closes what it opened, whatever happens, and tells what happened first', async () => {
    const open: string[] = [];
    const options: Options = {
      open: () => {
        open.push('destination');
        return new Shelf();
      },
      openWriter: () => {
        open.push('writer');
        return { write: async () => Promise.reject(new Error('a bug')), close: async () => void open.push('/writer') };
      },
      close: () => {
        open.push('/destination');
        throw new Error('it cannot be closed');
      },
    };
    const failed = await failures(options, (name) => name === WHOLE);
    assert.deepEqual([...failed.values()], ['Error: a bug']);
    assert.deepEqual(open, ['destination', 'writer', '/writer', '/destination']);
  });

  it('says what a kit lacks', () => {
    assert.throws(() => writerContract({ open: () => 1 } as never), 'writerContract needs a function openWriter, got undefined');
  });

  it('says what a kit gives that it should not', async () => {
    for (const [options, says] of [
      [{ openWriter: () => ({}) as never }, 'openWriter must give an object with write(batch, signal), got {}'],
      [{ received: () => 'nothing' as never }, 'received must give an array of events, got "nothing"'],
      [{ received: () => [{}] as never }, 'each event of received must have an id, got {}'],
      [{ payloads: () => [] }, 'payloads must give what was written, got nothing'],
    ] as const) {
      const failed = await failures(options, (name) => name === WHOLE || name === BYTES);
      assert.include([...failed.values()].join('\n'), says);
    }
  });

  it('looks at what a destination keeps, and at nothing else', async () => {
    const received = (shelf: Shelf): Received[] => shelf.received.map(({ id, message }) => ({ id, message }) as Received);
    assert.deepEqual(await failures({ received, keeps: ['message'] }), new Map());
    assert.match(
      (await failures({ received }, (name) => name === WHOLE)).get(WHOLE)!,
      /type of event .*-1 must be "test.Tick", got nothing/,
    );
    const parsed = (shelf: Shelf): Received[] =>
      shelf.lines.map((line) => {
        const { id, attributes } = JSON.parse(line) as Received;
        return { id, attributes };
      });
    assert.deepEqual(await failures({ received: parsed, keeps: ['attributes'] }), new Map());
  });
});
