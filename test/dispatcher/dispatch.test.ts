/** The dispatcher as a library: a journal on disk, writers of the caller's, no proxy. */
import { assert } from 'chai';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { Dispatch, type DispatchOptions, type StoredLetter, type WriterSettings } from '../../dispatcher/index.ts';
import { openJournal } from '../../journal/index.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { until } from '../support/until.ts';

class Shelf implements Writer {
  readonly taken: Delivery[] = [];
  answer: (event: Delivery['event']) => FondacoError | undefined = () => undefined;
  isClosed = false;

  async write(batch: readonly Delivery[]): Promise<void> {
    for (const { event } of batch) {
      const error = this.answer(event);
      if (error) throw error;
    }
    this.taken.push(...batch);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  get messages(): string[] {
    return this.taken.map(({ event }) => event.message);
  }
}

describe('the dispatcher as a library', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let journal: Journal;
  let stop: AbortController;
  let running: Promise<void> | undefined;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    journal = await openJournal(folder, { site: 'plant-7' });
    stop = new AbortController();
  });
  afterEach(async () => {
    await end();
    await remove();
  });

  async function end(): Promise<void> {
    stop.abort();
    await running;
    running = undefined;
    await journal.close();
  }

  async function start(
    writers: Record<string, Partial<WriterSettings> & Pick<WriterSettings, 'writer'>>,
    more: Partial<DispatchOptions> = {},
  ): Promise<Dispatch> {
    const settings = Object.entries(writers).map(([name, rest]) => ({ name, batch: { intervalMs: 0 }, ...rest }));
    const dispatch = await Dispatch.open(journal, { writers: settings, ...more });
    running = dispatch.run(stop.signal);
    return dispatch;
  }

  async function failure(work: Promise<unknown>): Promise<FondacoError> {
    try {
      await work;
    } catch (error) {
      if (isFondacoError(error)) return error;
      throw error;
    }
    throw new Error('it must reject');
  }

  it('delivers what was recorded to each writer by its filter, urgent first, with books that balance', async () => {
    const [all, urgent] = [new Shelf(), new Shelf()];
    const dispatch = await Dispatch.open(journal, {
      component: 'press',
      node: 'n1',
      writers: [
        { name: 'all', writer: all, batch: { intervalMs: 0 } },
        { name: 'urgent', writer: urgent, filter: { minSeverity: 'critical' } },
      ],
    });
    const ids = await Promise.all([
      dispatch.record('press.Started', 'info', 'a'),
      dispatch.record('press.Warm', 'info', 'b', { attributes: { celsius: 71 } }),
      dispatch.record('press.OnFire', 'critical', 'c', { source: { component: 'sensor' } }),
    ]);
    running = dispatch.run(stop.signal); // all were durable before anything was delivered
    await until('all have come', () => all.taken.length === 3 && urgent.taken.length === 1);
    assert.deepEqual(all.messages, ['c', 'a', 'b']);
    assert.deepEqual(urgent.messages, ['c']);
    assert.sameMembers(
      all.taken.map(({ event }) => event.id),
      ids,
    );
    const [first, second] = all.taken.map(({ event }) => event);
    assert.deepInclude(first, { source: { site: 'plant-7', node: 'n1', component: 'sensor' } });
    assert.deepInclude(second, { source: { site: 'plant-7', node: 'n1', component: 'press' } });
    await until('it is settled', () => dispatch.status().writers.every(({ lanes }) => lanes.normal.pending + lanes.urgent.pending === 0));
    const ledger = await dispatch.ledger();
    assert.isTrue(ledger.isBalanced);
    assert.deepEqual(ledger.accepted, { urgent: 1, normal: 2 });
    await end();
    assert.isTrue(all.isClosed && urgent.isClosed);
    assert.equal((await failure(dispatch.record('a.B', 'info', 'late'))).code, 'UNAVAILABLE');
  });

  it('goes on where it was in another life', async () => {
    const away = new Shelf();
    away.answer = () => new FondacoError('UNAVAILABLE', 'away');
    const dispatch = await start({ ops: { writer: away } });
    await Promise.all(Array.from({ length: 500 }, async (_, i) => dispatch.record('a.B', 'info', `${i}`)));
    await end();
    journal = await openJournal(folder, { site: 'plant-7' });
    stop = new AbortController();
    const back = new Shelf();
    await start({ ops: { writer: back, retry: { policy: 'constant', intervalMs: 10 } } });
    await until('all have come', () => back.taken.length >= 500);
    assert.deepEqual(
      back.messages,
      Array.from({ length: 500 }, (_, i) => `${i}`),
    );
  });

  it('folds a storm into one event with an exact count', async () => {
    const shelf = new Shelf();
    const dispatch = await start({ ops: { writer: shelf } }, { dedup: { intervalMs: 300 } });
    await Promise.all(Array.from({ length: 1000 }, async () => dispatch.record('a.Storm', 'warn', 'same')));
    await until('the summary has come', () => shelf.taken.reduce((sum, { event }) => sum + event.added, 0) === 1000);
    assert.isBelow(shelf.taken.length, 10);
  });

  it('keeps dead letters, delivers them again, gives them up', async () => {
    const shelf = new Shelf();
    shelf.answer = ({ message }) =>
      message.startsWith('bad') ? new FondacoError('REJECTED', 'no such field', { status: '422' }) : undefined;
    const dispatch = await start({ ops: { writer: shelf } });
    await dispatch.record('a.B', 'info', 'bad 1');
    await dispatch.record('a.B', 'info', 'good');
    await dispatch.record('a.B', 'info', 'bad 2');
    const dead = (): number => dispatch.status().writers[0]!.dead;
    await until('two are set aside', () => dead() === 2 && shelf.messages.includes('good'));
    const letters: StoredLetter[] = [];
    await until('both can be read', async () => {
      letters.length = 0;
      for await (const letter of dispatch.deadLetters('ops')) letters.push(letter);
      return letters.length === 2;
    });
    assert.deepEqual(
      letters.map(({ letter }) => [letter?.event.message, letter?.error.status]),
      [
        ['bad 1', '422'],
        ['bad 2', '422'],
      ],
    );
    await dispatch.purge('ops', [letters[0]!]);
    assert.equal(dead(), 1);
    shelf.answer = () => undefined;
    await dispatch.replay('ops');
    await until('it was delivered', () => shelf.messages.includes('bad 2') && dead() === 0);
    assert.isTrue((await dispatch.ledger()).isBalanced);
  });

  it('pauses and resumes one writer, and says which there are', async () => {
    const shelf = new Shelf();
    const dispatch = await start({ ops: { writer: shelf } });
    await dispatch.feed('ops').pause();
    await dispatch.record('a.B', 'info', 'x');
    assert.equal(dispatch.status().writers[0]!.state, 'paused');
    await dispatch.feed('ops').resume();
    await until('it came', () => shelf.messages.includes('x'));
    assert.throws(() => dispatch.feed('opps'), /\[CONFIG\] writer must be one of ops, got "opps"/);
    assert.equal((await failure(dispatch.replay('opps'))).code, 'CONFIG');
  });

  it('tries a writer that cannot be opened again, and leaves the others alone', async () => {
    const other = new Shelf();
    const shelf = new Shelf();
    let openings = 0;
    const writer = async (): Promise<Writer> => {
      if (++openings === 1) throw new Error('no route');
      if (openings === 2) return {} as Writer;
      return shelf;
    };
    const dispatch = await start({ ops: { writer, retry: { policy: 'constant', intervalMs: 10 } }, other: { writer: other } });
    await dispatch.record('a.B', 'info', 'x');
    await until('the other has it', () => other.messages.includes('x'));
    await until('it came', () => shelf.messages.includes('x'), 10_000);
    assert.include(
      shelf.messages
        .concat(other.messages)
        .filter((message) => message.includes('refused'))
        .join(),
      'what opens a writer must give an object with write',
    );
  }).timeout(15_000);

  it('ends though a writer cannot be closed, and tells of it', async () => {
    const problems: string[] = [];
    const onProblem = ({ message }: Error): void => void problems.push(message);
    const write = async (): Promise<void> => undefined;
    await start({ ops: { writer: { write, close: () => Promise.reject(new Error('still busy')) } } }, { onProblem });
    await end();
    assert.deepEqual(problems, ['[UNAVAILABLE] writer ops cannot be closed: still busy']);
  });

  it('waits for a writer that never closes for 5 s, not for ever', async () => {
    const problems: string[] = [];
    const clock = new FakeClock();
    const writer = { write: async (): Promise<void> => undefined, close: () => new Promise<void>(() => undefined) };
    await start({ ops: { writer } }, { clock, onProblem: ({ message }) => problems.push(message) });
    stop.abort();
    let isOver = false;
    void running!.then(() => (isOver = true));
    await until('it has ended', async () => {
      await clock.advance(1000);
      return isOver;
    });
    assert.deepEqual(problems, ['[UNAVAILABLE] writer ops cannot be closed: [UNAVAILABLE] it must be closed within 5000 ms']);
  });

  it('rejects what is wrong with an event, and stores nothing of it', async () => {
    const dispatch = await start({ ops: { writer: new Shelf() } });
    const wrong = await failure(dispatch.record('no spaces please', 'info', 'x'));
    assert.equal(wrong.code, 'REJECTED');
    assert.include(wrong.message, 'type must be');
    assert.equal((await failure(dispatch.record('a.B', 'loud' as 'info', 'x'))).code, 'REJECTED');
    assert.deepEqual((await dispatch.ledger()).accepted, { urgent: 0, normal: 0 });
  });

  it('takes 64 MiB at once and says FULL to the rest, losing none that it took', async function () {
    this.timeout(30_000);
    const shelf = new Shelf();
    const dispatch = await start({ ops: { writer: shelf } }, { dedup: { intervalMs: 0 } });
    const big = { attributes: { text: 'x'.repeat(30_000) } };
    const outcomes = await Promise.allSettled(Array.from({ length: 2500 }, async (_, i) => dispatch.record('a.B', 'info', `${i}`, big)));
    const taken = outcomes.filter(({ status }) => status === 'fulfilled').length;
    const codes = outcomes.filter((each) => each.status === 'rejected').map(({ reason }) => (reason as FondacoError).code);
    assert.isAbove(taken, 2000);
    assert.isAbove(codes.length, 0);
    assert.deepEqual([...new Set(codes)], ['FULL']);
    await until('all that were taken have come', () => shelf.taken.length === taken, 20_000);
  });

  const wrong: [options: unknown, message: string][] = [
    [{}, 'writers must be a list'],
    [
      { writers: [], writer: 1 },
      'writer is unknown, expected any of writers, component, node, dedup, urgent, budget, types, clock, random, onProblem',
    ],
    [{ writers: [{ writer: new Shelf() }] }, 'writers[0].name must be 1 to 63 of a-z, 0-9 and -, got nothing'],
    [{ writers: [7] }, 'writers[0] must be an object, got 7'],
    [
      { writers: [{ name: 'a', writer: {} }] },
      'writers[0].writer must be an object with write(batch, signal), or a function that opens one, got a value of type object',
    ],
    [
      {
        writers: [
          { name: 'a', writer: new Shelf() },
          { name: 'a', writer: new Shelf() },
        ],
      },
      'writers[1].name must be another than that of the writers before, got "a"',
    ],
    [
      { writers: [{ name: 'a', writer: new Shelf(), batch: { eventsMax: 0 } }] },
      'writers[0].batch.eventsMax must be a whole number from 1 to 10000, got 0',
    ],
    [
      { writers: [{ name: 'a', writer: new Shelf(), batch: { interval: '1s' } }] },
      'writers[0].batch.interval is unknown, expected any of intervalMs, eventsMax, bytesMax',
    ],
    [
      { writers: [{ name: 'a', writer: new Shelf(), retry: { policy: 'never' } }] },
      'writers[0].retry.policy must be one of backoff, constant, suspend, dead-letter, got "never"',
    ],
    [
      { writers: [{ name: 'a', writer: new Shelf(), retry: { policy: 'suspend' } }] },
      'writers[0].retry.attempts must be a whole number from 1 to 1000000, got nothing',
    ],
    [{ writers: [{ name: 'a', writer: new Shelf(), retry: { policy: 'backoff', attempts: 3 } }] }, 'writers[0].retry.attempts is unknown'],
    [
      { writers: [{ name: 'a', writer: new Shelf(), backlog: { whenFull: 'panic' } }] },
      'writers[0].backlog.whenFull must be one of drop-oldest, refuse, got "panic"',
    ],
    [
      { writers: [{ name: 'a', writer: new Shelf(), filter: { types: 'a.*' } }] },
      'writers[0].filter.types must be a list of event types or patterns such as \'cluster.*\', got "a.*"',
    ],
    [{ writers: [{ name: 'a', writer: new Shelf(), notices: 'no' }] }, 'writers[0].notices must be true or false, got "no"'],
    [{ writers: [], urgent: 'fatal' }, 'urgent must be one of debug, info, warn, error, critical, got "fatal"'],
    [{ writers: [], budget: { bytesMax: 5 } }, 'budget.bytesMax must be a whole number from 16777216 to 1099511627776, got 5'],
    [{ writers: [], dedup: 10 }, 'dedup must be an object, got 10'],
  ];
  for (const [options, message] of wrong) {
    it(`refuses options: ${message}`, async () => {
      const error = await failure(Dispatch.open(journal, options as DispatchOptions));
      assert.equal(error.code, 'CONFIG');
      assert.include(error.message, message);
    });
  }

  it('opens a journal in one line, and says who holds it', async () => {
    const held = await failure(openJournal(folder));
    assert.equal(held.code, 'UNAVAILABLE');
    assert.equal((await failure(openJournal('/proc/nowhere/at/all'))).code, 'CONFIG');
    assert.equal((await failure(openJournal(''))).code, 'CONFIG');
    assert.include((await failure(openJournal(folder, { site: '' }))).message, 'site must be a text');
  });
});
