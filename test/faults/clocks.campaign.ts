/**
 * The wall clock jumps by hours and by 56 years, forward and back. While a proxy runs, nothing at all depends on it: the same schedule is
 * played with the right time and with jumps, and every request, trim and expiry must be the same, to the millisecond. Between two lives
 * what is left of a wait is not more than the whole, and nothing expires or is trimmed for a jump. (Recorders: the simulation. How long what
 * is due takes at most behind a restart: low-rate.)
 */
import fc from 'fast-check';
import { FondacoError } from '../../core/errors.ts';
import { LANES } from '../../core/lane.ts';
import { MemoryStorage } from '../../journal/memory-journal.ts';
import type { Delivery } from '../../core/writer.ts';
import { DispatchKit, Sender } from '../support/dispatch-kit.ts';
import { FakeClock } from '../support/fake-clock.ts';
import type { Campaign } from './campaign.ts';
import { playSchedules, type RunCost } from './random-schedules.ts';

const RUNS = { short: 100, long: 10_000 };
const HOUR_MS = 3_600_000;
const YEARS_MS = 56 * 365 * 24 * HOUR_MS;
const JUMPS_MS = [HOUR_MS, -HOUR_MS, 13 * HOUR_MS, -13 * HOUR_MS, YEARS_MS, -YEARS_MS] as const;
const DEDUP_MS = 4000;
const FAULTS = ['wall clock jumps while a proxy runs', 'wall clock jumps between two lives'] as const;
const [RUNNING, BETWEEN] = FAULTS;
/** Of a downtime 24 h count at most, so that no schedule here is long enough to expire anything behind restarts. */
const LONG_MS = 40 * 24 * HOUR_MS;

type Step =
  | { readonly kind: 'record'; readonly texts: readonly number[] }
  | { readonly kind: 'answer'; readonly isAway: boolean }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'kill' }
  | { readonly kind: 'jump'; readonly ms: number };

interface Schedule {
  readonly hasKills: boolean;
  readonly steps: readonly Step[];
}

const kind = <Kind extends Step['kind']>(name: Kind): fc.Arbitrary<Kind> => fc.constant(name);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: kind('record'), texts: fc.array(fc.nat(8), { minLength: 1, maxLength: 6 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('answer'), isAway: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: kind('time'), ms: fc.constantFrom(60, 500, 1100, 3000, 7000) }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('kill') }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('jump'), ms: fc.constantFrom(...JUMPS_MS) }) },
);
const schedules: fc.Arbitrary<Schedule> = fc.record({
  hasKills: fc.boolean(),
  steps: fc.array(step, { minLength: 5, maxLength: 35, size: 'max' }),
});

/** What can be seen of a run. */
interface Trace {
  /** Moments on the monotonic clock, and what happened then. */
  readonly seen: string[];
  /** Σ `added` of what was taken, by message. */
  readonly added: Map<string, number>;
  readonly problems: string[];
  events: number;
  jumps: number;
}

async function trace({ hasKills, steps }: Schedule, isJumping: boolean): Promise<Trace> {
  const result: Trace = { seen: [], added: new Map(), problems: [], events: 0, jumps: 0 };
  const clock = new FakeClock();
  const storage = new MemoryStorage();
  const sender = new Sender();
  const taken: Delivery[] = [];
  let isAway = false;
  let kit!: DispatchKit;
  const open = async (): Promise<void> => {
    kit = await DispatchKit.open({
      clock,
      storage,
      dedupMs: DEDUP_MS,
      budget: { bytesMax: 1e9, retentionMs: hasKills ? LONG_MS : 9000 },
      writers: {
        ops: {
          batch: { intervalMs: 700, eventsMax: 10, bytesMax: 1 << 20 },
          retry: { policy: 'backoff', initialMs: 300, maxMs: 5000 },
          backlog: { bytesMax: 1e9, ageMaxMs: hasKills ? LONG_MS : 6000, whenFull: 'drop-oldest' },
        },
      },
      answers: { ops: () => (isAway ? new FondacoError('UNAVAILABLE', 'away') : undefined) },
    });
  };
  const keep = (): void => void taken.push(...kit.writer().taken);
  const note = async (): Promise<void> => {
    const { lanes } = (await kit.ledger()).writers[0]!;
    const { requests } = kit.writer();
    const sent = requests.splice(0).map(({ lane, at, messages }) => `${at} ${lane}: ${messages.join()}`);
    const books = LANES.map((lane) => `${kit.journal.tail(lane)} ${JSON.stringify(lanes[lane])}`);
    result.seen.push(...sent, `${clock.monotonic()} ${books.join(' ')}`);
  };
  await open();
  for (const each of steps) {
    if (each.kind === 'record') {
      const events = each.texts.map((text) => ({ message: `text ${text}`, severity: text > 6 ? 'critical' : 'info' }));
      await kit.dispatcher.accept(sender.batch(result.events, events));
      result.events += events.length;
      await kit.settle();
    } else if (each.kind === 'answer') isAway = each.isAway;
    else if (each.kind === 'time') await clock.advance(each.ms);
    else if (each.kind === 'jump') {
      result.jumps++;
      if (isJumping) clock.wall = Math.max(0, clock.wall + each.ms);
    } else if (hasKills) {
      await kit.kill();
      keep();
      await open();
    }
    await note();
  }
  isAway = false;
  for (let i = 0; i < 20; i++) await clock.advance(1000);
  await note();
  keep();
  const ledger = await kit.ledger();
  for (const lane of LANES) {
    const { expired, dropped, pending, discrepancy } = ledger.writers[0]!.lanes[lane];
    if (pending + discrepancy !== 0) result.problems.push(`${lane}: pending ${pending}, discrepancy ${discrepancy}`);
    if (hasKills && expired + dropped + kit.journal.tail(lane) !== 1)
      result.problems.push(`${lane}: ${expired} expired, kept from ${kit.journal.tail(lane)} on`);
  }
  await kit.kill();
  judgeOrder(taken, result);
  return result;
}

/** Positions rise, but for repeats; what was taken for the first time counts. */
function judgeOrder(taken: readonly Delivery[], { added, problems }: Trace): void {
  const last = { urgent: 0, normal: 0 };
  for (const { delivery, entry, event } of taken) {
    const isRepeat = entry.position <= last[delivery.lane];
    if (isRepeat) {
      if (!taken.some((other) => other.entry.position === entry.position && other.delivery.lane === delivery.lane && other.entry !== entry))
        problems.push(`${delivery.lane}/${entry.position} is out of order`);
      continue;
    }
    last[delivery.lane] = entry.position;
    if (!event.type.startsWith('fondaco.')) added.set(event.message, (added.get(event.message) ?? 0) + event.added);
  }
}

async function play(schedule: Schedule): Promise<RunCost> {
  const right = await trace(schedule, false);
  const jumping = await trace(schedule, true);
  const { hasKills } = schedule;
  const problems = [...right.problems, ...jumping.problems];
  if (!hasKills) {
    const at = right.seen.findIndex((line, i) => line !== jumping.seen[i]);
    if (at >= 0 || right.seen.length !== jumping.seen.length)
      problems.push(`with the right time: ${right.seen[at]}\nwith jumps: ${jumping.seen[at]}`);
  }
  const sums = ({ added }: Trace): string => [...added].sort().join(' ');
  if (sums(right) !== sums(jumping)) problems.push(`added with the right time: ${sums(right)}\nwith jumps: ${sums(jumping)}`);
  const cost = { events: jumping.events, lost: 0, repeated: 0, wrongCounts: problems.length, discrepancy: 0, problems };
  return { ...cost, faults: new Map(jumping.jumps > 0 ? [[hasKills ? BETWEEN : RUNNING, jumping.jumps]] : []) };
}

const campaign: Campaign = {
  title: 'wall clocks that jump',
  repeats: 'the proxy was killed before a batch that was taken had been settled',
  run: (order) => playSchedules({ name: 'clocks', runs: RUNS, schedules, faults: FAULTS, play }, order),
};

export default campaign;
