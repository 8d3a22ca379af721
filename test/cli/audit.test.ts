/** Auditing a destination's own record: what real feeds sent it, through faults and restarts, with lines removed, repeated and swapped. */
import { assert } from 'chai';
import { deliveriesOf } from '../../cli/audit-lines.ts';
import { DeliveryRecord } from '../../cli/audit-record.ts';
import { judge, type Verdict } from '../../cli/audit-verdict.ts';
import { FondacoError } from '../../core/errors.ts';
import type { Delivery } from '../../core/writer.ts';
import { readDeliveries, type DeliveryRecord as Books } from '../../dispatcher/feed/delivery-series.ts';
import { purgeLetters } from '../../dispatcher/dead-letters/purge.ts';
import { MemoryStorage } from '../../journal/memory-journal.ts';
import { cloudEvent, cloudEventsBatch } from '../../writers/cloudevents.ts';
import { nativeBatch, nativeJson } from '../../writers/native-json.ts';
import { DispatchKit, Sender } from '../support/dispatch-kit.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { testSeed, seeded } from '../support/seeded.ts';

type Random = () => number;

/** More of them take longer. */
const LIVES = Number(process.env.FONDACO_LIVES ?? 8);

/** What a destination wrote down, and what its proxy says that it must have. */
interface Scene {
  readonly lines: readonly string[];
  readonly books: Books;
}

const BATCHES = [nativeBatch, cloudEventsBatch];
const SINGLES = [nativeJson, cloudEvent];

/** A destination that takes what it wants, also without saying so, and is never asked whether it has something already. */
async function live(random: Random, steps: number): Promise<Scene> {
  const storage = new MemoryStorage();
  const clock = new FakeClock();
  const lines: string[] = [];
  const isBatched = random() < 0.5;
  const form = Math.floor(random() * 2);
  const ageMaxMs = random() < 0.3 ? 20_000 : Infinity;
  const write = (batch: readonly Delivery[]): void => {
    if (isBatched) lines.push(BATCHES[form]!(batch));
    else lines.push(...batch.map(SINGLES[form]!));
  };
  let isMended = false;
  const answer = (batch: readonly Delivery[]): FondacoError | undefined => {
    const luck = random();
    if (!isMended && batch.some(({ event }) => event.message.startsWith('poison'))) return new FondacoError('REJECTED', '422');
    if (!isMended && luck < 0.15) return new FondacoError('UNAVAILABLE', '503');
    write(batch);
    return !isMended && luck < 0.3 ? new FondacoError('UNAVAILABLE', 'the answer was lost') : undefined;
  };
  let sent = 0;
  const sender = new Sender();
  const open = async (): Promise<DispatchKit> => {
    const filter = random() < 0.5 ? {} : ({ minSeverity: 'info' } as const);
    const backlog = { bytesMax: Infinity, ageMaxMs, whenFull: 'drop-oldest' as const };
    const batch = { intervalMs: 0, eventsMax: 1 + Math.floor(random() * 5), bytesMax: 1024 * 1024 };
    const budget = { bytesMax: 1024 ** 3, retentionMs: 1e9 };
    return DispatchKit.open({ storage, clock, random, budget, answers: { ops: answer }, writers: { ops: { filter, backlog, batch } } });
  };
  let kit = await open();
  for (let i = 0; i < steps; i++) {
    const luck = random();
    if (luck < 0.5) {
      const events = Array.from({ length: 1 + Math.floor(random() * 6) }, (_, n) => {
        const severity = ['debug', 'info', 'critical'][Math.floor(random() * 3)]!;
        return { message: `${random() < 0.1 ? 'poison' : 'event'} ${sent + n}`, severity };
      });
      await kit.dispatcher.accept(sender.batch(sent, events));
      sent += events.length;
    } else if (luck < 0.75) await clock.advance(random() * 3000);
    else if (luck < 0.77) await clock.advance(25_000);
    else if (luck < 0.87) {
      await kit.kill();
      kit = await open();
    } else if (luck < 0.94) {
      isMended = random() < 0.5;
      await kit.feed().replay.start();
      await clock.advance(random() * 2000);
      isMended = false;
    } else if (luck < 0.97) await purgeLetters(kit.feed());
    else await (random() < 0.5 ? kit.feed().pause() : kit.feed().resume());
  }
  isMended = true;
  await kit.feed().resume();
  await clock.advance(15_000);
  const books = (await readDeliveries(kit.journal, 'ops'))!;
  await kit.stop();
  return { lines, books };
}

function recordOf(lines: readonly string[]): DeliveryRecord {
  const record = new DeliveryRecord();
  for (const [i, line] of lines.entries()) {
    const deliveries = deliveriesOf(line);
    if (typeof deliveries === 'string') assert.fail(deliveries);
    for (const delivery of deliveries) assert.isUndefined(record.add(delivery, `r:${i + 1}`));
  }
  return record;
}

const audit = (lines: readonly string[], books: Books[], isPruned = false): Verdict => judge(recordOf(lines), books, { isPruned });

function spliced(lines: readonly string[], at: number, count: number, ...more: readonly string[]): string[] {
  return [...lines.slice(0, at), ...more, ...lines.slice(at + count)];
}

/** The numbers of a line. */
function numbers(line: string): string[] {
  const deliveries = deliveriesOf(line);
  return typeof deliveries === 'string' ? [] : deliveries.map(({ lane, series, seq }) => `${lane}/${series}/${seq}`);
}

function sum(verdict: Verdict, of: 'missing' | 'outOfOrder' | 'repeats' | 'changed' | 'before' | 'explained'): number {
  return verdict.lanes.reduce((total, lane) => total + lane[of], 0);
}

describe('audit', function () {
  this.timeout(60_000);
  const seed = testSeed;
  const random = seeded(seed);

  it(`finds what real feeds delivered complete, and every line that is then removed, repeated, changed or swapped (seed ${seed})`, async () => {
    for (let life = 0; life < LIVES; life++) {
      const { lines, books } = await live(random, 40);
      const whole = audit(lines, [books]);
      assert.deepEqual(whole.missing, [], `seed ${seed}, life ${life}`);
      assert.isTrue(whole.isComplete, `seed ${seed}, life ${life}: ${JSON.stringify(whole.notes)}`);
      const times = new Map<string, number>();
      for (const number of lines.flatMap(numbers)) times.set(number, (times.get(number) ?? 0) + 1);
      for (let i = 0; i < 20 && lines.length > 0; i++) {
        const at = Math.floor(random() * lines.length);
        const lost = numbers(lines[at]!).filter((number) => times.get(number) === 1);
        const without = audit(spliced(lines, at, 1), [books]);
        const named = without.missing.flatMap(({ lane, series, first, last }) =>
          Array.from({ length: last - first + 1 }, (_, n) => `${lane}/${series}/${first + n}`),
        );
        const rest = spliced(lines, at, 1).flatMap(numbers);
        const isMissing = (number: string): boolean => isSettled(number, books) || (isFollowed(number, rest) && !isDead(number, books));
        assert.sameMembers(named, lost.filter(isMissing), `seed ${seed}, life ${life}`);
        const twice = audit(spliced(lines, at, 0, lines[at]!), [books]);
        assert.isTrue(twice.isComplete);
        assert.equal(sum(twice, 'repeats'), sum(whole, 'repeats') + numbers(lines[at]!).length);
        const other = lines[at]!.replaceAll('"type":', '"type": ');
        const changed = audit([...lines, other], [books]);
        assert.equal(sum(changed, 'changed'), numbers(lines[at]!).length);
      }
      for (let i = 0; i + 1 < lines.length; i++) {
        const [a, b] = [numbers(lines[i]!), numbers(lines[i + 1]!)];
        const [first = '', second = ''] = [a.at(-1), b[0]];
        const isPair = [...a, ...b].every((number) => times.get(number) === 1) && seriesOf(first) === seriesOf(second);
        if (isPair) assert.isAbove(sum(audit(spliced(lines, i, 2, lines[i + 1]!, lines[i]!), [books]), 'outOfOrder'), 0);
      }
    }
  });

  const A = '01a2038d-2441-7c1c-8a5b-47a533c75e04';
  const B = '01a2038d-2441-7d47-82f8-9b9146cc62e9';
  const line = (seq: number, series = A, more: object = {}): string =>
    JSON.stringify({ message: `m ${seq}`, ...more, delivery: { writer: 'ops', lane: 'normal', series, seq } });
  const run = (first: number, last: number, series = A): string[] =>
    Array.from({ length: last - first + 1 }, (_, i) => line(first + i, series));
  const none = { series: [], isComplete: true };
  const booksOf = (...series: Partial<Books['lanes']['normal']['series'][number]>[]): Books => {
    const whole = series.map((each) => ({ series: A, seq: 0, hasEnded: false, isReplay: false, dead: [], ...each }));
    return { writer: 'ops', journal: 'j', lanes: { urgent: none, normal: { series: whole, isComplete: true } } };
  };

  it('names what is missing at the beginning, in the middle, at the end and of all of a series', () => {
    const { missing } = audit([...run(3, 5), ...run(8, 9)], [booksOf({ seq: 12, hasEnded: true }, { series: B, seq: 2 })]);
    const gaps = missing.map(({ series, first, last, where, place }) => [series === A ? 'A' : 'B', first, last, where, place]);
    assert.deepEqual(gaps, [
      ['A', 1, 2, 'beginning', 'r:1'],
      ['A', 6, 7, 'middle', 'r:4'],
      ['A', 10, 12, 'end', undefined],
      ['B', 1, 2, 'all', undefined],
    ]);
  });

  it('takes dead letters for an explanation, of exactly their numbers', () => {
    const verdict = audit(run(5, 6), [booksOf({ seq: 10, dead: [[2, 3], [7, 9]] })]); // prettier-ignore
    assert.deepEqual(verdict.explained.map(({ first, last }) => [first, last]), [[2, 3], [7, 9]]); // prettier-ignore
    assert.deepEqual(verdict.missing.map(({ first, last }) => [first, last]), [[1, 1], [4, 4], [10, 10]]); // prettier-ignore
  });

  it('forgives what lies before a record that was pruned, and nothing else', () => {
    const books = booksOf({ series: B, seq: 7, hasEnded: true, dead: [[7, 7]] }, { seq: 9 });
    const verdict = audit([...run(4, 5), ...run(7, 9)], [books], true);
    assert.deepEqual(verdict.missing.map(({ first, last }) => [first, last]), [[6, 6]]); // prettier-ignore
    assert.equal(sum(verdict, 'before'), 6 + 3);
    assert.isFalse(audit(run(4, 9), [books]).isComplete);
    assert.isTrue(audit(run(4, 9), [books], true).isComplete);
    assert.isTrue(audit(run(4, 9), [], true).isComplete);
  });

  it('sees that a series goes on after the next one has begun; replays may', () => {
    const lines = [...run(1, 2), line(1, B), line(3), line(2, B)];
    const feeds = audit(lines, [booksOf({ seq: 3, hasEnded: true }, { series: B, seq: 2 })]);
    assert.equal(sum(feeds, 'outOfOrder'), 1);
    const replay = audit(lines, [booksOf({ series: B, seq: 2, isReplay: true, hasEnded: true }, { seq: 3 })]);
    assert.isTrue(replay.isComplete);
    assert.match(audit(lines, []).notes.join(), /1 of its series begin before another has ended: replays, or out of order/);
  });

  it('does not heed a proxy that knows none of the series, and says what it cannot know without one', () => {
    const verdict = audit(run(1, 3), [booksOf({ series: B, seq: 5 })]);
    assert.isTrue(verdict.isComplete);
    assert.isFalse(verdict.isJudgedByProxy);
    assert.match(verdict.notes.join(), /knows none of the series.*only its proxy knows what comes after/);
    const older = audit([...run(1, 3), ...run(1, 2, B)], [booksOf({ series: B, seq: 2 })]);
    assert.match(older.notes.join(), /does not know 1 of its series any more/);
  });

  it('reads loss notices of proxies in both forms', () => {
    const origin = { kind: 'writer', id: 'ops/normal', series: [A, B] };
    const losses = [{ origin, cause: 'age', count: 12, ranges: [[4, 15]] }, { origin: { kind: 'series', id: B }, cause: 'spool-full', count: 5 }]; // prettier-ignore
    const source = { site: 's', node: 'n', component: 'fondaco' };
    const native = line(1, B, { type: 'fondaco.Loss', source, attributes: { losses } });
    const data = { attributes: { losses }, delivery: { writer: 'ops', lane: 'normal', series: B } };
    const event = JSON.stringify({ specversion: '1.0', type: 'fondaco.Loss', source: '//s/n/fondaco', sequence: '0000000000000001', data });
    for (const notice of [native, event]) {
      const { givenUp, lostBefore } = audit([...run(1, 3), notice], []);
      assert.deepEqual(givenUp, [{ writer: 'ops', lane: 'normal', after: A, cause: 'age', entries: 12 }]);
      assert.deepEqual(lostBefore, [{ cause: 'spool-full', count: 5 }]);
    }
    const agent = line(1, B, { type: 'fondaco.Loss', source: { ...source, component: 'agent' }, attributes: { losses } });
    assert.deepEqual(audit([agent], []).givenUp, []);
  });

  const bad: [line: string, says: string][] = [
    ['not json', 'a line must be JSON, got not json'],
    ['7', 'a delivery must be an object, got 7'],
    ['{"a":1}', 'delivery must say which delivery it is, got nothing'],
    ['{"specversion":"1.0"}', 'data.delivery must say which delivery it is, got nothing'],
    [line(0), 'delivery.seq must be a whole number from 1, got 0'],
    [line(1.5), 'delivery.seq must be a whole number from 1, got 1.5'],
    [line(1, 'x'), 'delivery.series must be a UUID, got "x"'],
    [line(1).replace('normal', 'fast'), 'delivery.lane must be urgent or normal, got "fast"'],
    [line(1).replace('"ops"', '"../x"'), 'delivery.writer must be the name of a writer, got "../x"'],
    [`[${line(1)},${line(0)}]`, '[1]: delivery.seq must be a whole number from 1, got 0'],
    [`{"specversion":"1.0","sequence":7,"data":${line(1)}}`, 'sequence must be 16 digits, got 7'],
    ['['.repeat(100_000), 'a line must be JSON, got [['],
  ];
  for (const [text, says] of bad) {
    it(`says of a line: ${says}`, () => {
      const said = deliveriesOf(text);
      assert.isTrue(typeof said === 'string' && said.startsWith(says), JSON.stringify(said));
    });
  }
});

const seriesOf = (number: string): string => number.slice(0, number.lastIndexOf('/'));

/** What was given up after it was sent without an answer is no delivery, although the record has it. */
function isSettled(number: string, { lanes }: Books): boolean {
  const [lane, series, seq] = number.split('/') as ['urgent' | 'normal', string, string];
  const found = lanes[lane].series.find((each) => each.series === series);
  return found !== undefined && Number(seq) <= found.seq && !isDead(number, { lanes });
}

function isDead(number: string, { lanes }: Pick<Books, 'lanes'>): boolean {
  const [lane, series, seq] = number.split('/') as ['urgent' | 'normal', string, string];
  const found = lanes[lane].series.find((each) => each.series === series);
  return found?.dead.some(([first, last]) => Number(seq) >= first && Number(seq) <= last) === true;
}

/** Whether the rest has a higher number of its series: then it is a gap, settled or not. */
function isFollowed(number: string, rest: readonly string[]): boolean {
  const seq = Number(number.slice(number.lastIndexOf('/') + 1));
  return rest.some((other) => seriesOf(other) === seriesOf(number) && Number(other.slice(other.lastIndexOf('/') + 1)) > seq);
}
