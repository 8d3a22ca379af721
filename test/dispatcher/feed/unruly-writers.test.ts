/** Writers that do not keep their contract, on a real feed: nothing is lost, nobody else notices, and what they did is shown. */
import { expect } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Delivery, Writer } from '../../../core/writer.ts';
import { DispatchKit, numbered, Sender } from '../../support/dispatch-kit.ts';

describe('a writer that does not keep its contract', () => {
  let kit: DispatchKit;
  let sender: Sender;
  let after: number;

  beforeEach(async () => {
    kit = await DispatchKit.open({ writers: { ops: { writeTimeoutMs: 30_000 }, other: {} } });
    sender = new Sender();
    after = 0;
  });
  afterEach(async () => {
    expect((await kit.ledger()).isBalanced).to.equal(true);
    await kit.stop();
  });

  async function record(count: number): Promise<void> {
    await kit.dispatcher.accept(sender.batch(after, numbered('a', after + 1, after + count)));
    after += count;
    await kit.settle();
  }

  /** What `ops` does from now on; `undefined`: what is right. */
  function does(write: Writer['write'] | undefined): void {
    if (write) kit.writer().write = write;
    else Reflect.deleteProperty(kit.writer(), 'write');
  }

  const recorded = (name: string): string[] => kit.writer(name).messages.filter((message) => /^a \d+$/.test(message));
  const all = (): unknown[] => numbered('a', 1, after).map(({ message }) => message);

  async function showsAndRecovers(message: RegExp): Promise<void> {
    expect(recorded('other')).to.deep.equal(all());
    const { state, lastError, dead } = kit.feed().status();
    expect(state).to.equal('retrying');
    expect(dead).to.equal(0);
    expect(lastError?.message).to.match(message);
    does(undefined);
    await kit.clock.advance(60_000);
    expect(recorded('ops')).to.deep.equal(all());
    expect(kit.feed().status().state).to.equal('delivering');
  }

  const bugs: [what: string, write: Writer['write'], message: RegExp][] = [
    [
      'throws an error of the language',
      async () => {
        throw new TypeError('x is not a function');
      },
      /^\[UNAVAILABLE\] x is not a function$/,
    ],
    [
      'throws before it returns a promise',
      () => {
        throw new Error('at once');
      },
      /at once/,
    ],
    [
      'throws something that is no error',
      async () => {
        throw { toString: () => Promise.resolve('x') } as unknown;
      },
      /cannot be shown/,
    ],
    ['throws an empty error', () => Promise.reject(new Error()), /Error without a message/],
    ['throws a code of its own', () => Promise.reject(new FondacoError('OOPS' as 'REJECTED', 'what now')), /what now/],
    [
      'throws what only looks like our error, with nothing in it',
      () => Promise.reject(Object.assign(new Error('gone'), { name: 'FondacoError', code: 'UNAVAILABLE' })),
      /^\[UNAVAILABLE\] gone$/,
    ],
    [
      'throws facts that fit in no row',
      () => {
        const facts = { status: 5n, answer: { a: 1n }, retryAfterMs: NaN, tooLarge: 'yes' };
        return Promise.reject(Object.assign(new FondacoError('UNAVAILABLE', 'odd'), { facts }));
      },
      /odd/,
    ],
  ];
  for (const [what, write, message] of bugs) {
    it(`${what}: kept, shown, tried again`, async () => {
      does(write);
      await record(3);
      await showsAndRecovers(message);
    });
  }

  it('asks for a pause of ever: a day at most', async () => {
    does(() => Promise.reject(new FondacoError('UNAVAILABLE', 'later', { retryAfterMs: Infinity })));
    await record(1);
    expect(kit.feed().status().lanes.normal.nextAttemptInMs).to.equal(24 * 3600 * 1000);
    does(undefined);
    await kit.clock.advance(24 * 3600 * 1000);
    expect(recorded('ops')).to.deep.equal(all());
  });

  it('rejects with an answer of a megabyte: the dead letter holds what a person can read', async () => {
    does(async (batch) => {
      if (batch[0]!.event.message === 'a 1')
        throw new FondacoError('REJECTED', 'x'.repeat(1e6), { status: 'y'.repeat(1e6), answer: 'z'.repeat(1e6) });
    });
    await record(1);
    expect(kit.feed().status().dead).to.equal(1);
    expect(JSON.stringify(kit.feed().row.lastError ?? {}).length).to.be.below(10_000);
  });

  it('throws a plain error of 20 MB: 2 KiB of it are kept, with a mark', async () => {
    does(() => Promise.reject(new Error('é'.repeat(1e7))));
    await record(1);
    const message = kit.feed().status().lastError?.message ?? '';
    expect(message).to.match(/^\[UNAVAILABLE\] é+…$/);
    expect(Buffer.byteLength(message)).to.be.within(1990, 2048);
    await showsAndRecovers(/…$/);
  });

  it('empties the list that it was given: what it took counts all the same', async () => {
    const taken: string[] = [];
    does(async (batch) => {
      const list = batch as Delivery[];
      while (list.length > 0) taken.push(list.shift()!.event.message);
    });
    await record(5);
    expect(taken.filter((message) => message.startsWith('a '))).to.deep.equal(all());
    const [ops] = (await kit.ledger()).writers.filter(({ name }) => name === 'ops');
    expect(ops!.lanes.normal).to.include({ delivered: 5, pending: 0 });
  });

  it('never resolves, but heeds its abort: aborted after its time', async () => {
    does((_batch, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))));
    await record(2);
    await kit.clock.advance(30_000);
    await showsAndRecovers(/must answer within 30000 ms, got nothing$/);
  });

  it('never resolves and does not heed its abort: left alone some seconds later, and tried again', async () => {
    does(() => new Promise(() => undefined));
    await record(2);
    await kit.clock.advance(30_000);
    expect(kit.feed().status().state).to.equal('delivering');
    await kit.clock.advance(10_000);
    await showsAndRecovers(/got nothing; and the writer goes on although it was aborted$/);
  });

  it('never resolves, again and again: at most four writes are left alone, until one of them ends', async () => {
    const ends: (() => void)[] = [];
    does(() => new Promise((resolve) => ends.push(resolve)));
    await record(1);
    await kit.clock.advance(3600_000);
    expect(ends).to.have.length(4);
    expect(kit.feed().status().lastError?.message).to.include('must end the 4 writes that were aborted');
    ends[0]!(); // too late to count: the event comes again
    await kit.settle();
    await showsAndRecovers(/4 writes/);
  });

  it('does not end when the feed is stopped: the stop takes seconds, not for ever', async () => {
    does(() => new Promise(() => undefined));
    await record(1);
    const stopping = kit.stop();
    let isStopped = false;
    void stopping.then(() => (isStopped = true));
    await kit.clock.advance(15_000);
    expect(isStopped).to.equal(true);
    kit = await DispatchKit.open({ storage: kit.storage, clock: kit.clock, writers: { ops: {}, other: {} } });
    await kit.clock.advance(1000);
    expect(recorded('ops')).to.deep.equal(all());
  });
});
