/**
 * How a lane's row moves. A move is applied to the row in a commit; before that, where a writer has a resendWindow, without one to a copy of
 * the row, which says where sending stands. So it must do the same both times: what is fresh in it is made before.
 */
import type { FondacoError } from '../../core/errors.ts';
import type { Draft } from '../../core/journal.ts';
import type { Lane } from '../../core/lane.ts';
import { uuidV7 } from '../../core/uuid.ts';
import { deadLetterKey, deadLetterOf } from '../dead-letters/dead-letters.ts';
import { mergeLosses } from '../ledger/losses.ts';
import { endSeries, noteSetAside, type LaneOf } from './delivery-series.ts';
import { errorOf, type FeedError, type FeedLane, type FeedRow } from './feed-row.ts';
import { succeed } from './feed-state.ts';
import type { Feed } from './feed.ts';
import type { GivenUp, Step } from './lane-reader.ts';

export type WriteStep = Extract<Step, { kind: 'write' }>;
export type PassStep = Exclude<Step, WriteStep>;

export interface InCommit {
  readonly draft: Draft;
  readonly row: FeedRow;
}

export interface Move {
  /** Events sent by it. */
  readonly events: number;
  /** Events set aside by it. */
  readonly dead: number;
  readonly apply: (lane: FeedLane, commit?: InCommit) => void;
}

/** The moves of one writer's lane, with what belongs to them: fresh series, losses, what the others are told. */
export class LaneMoves {
  readonly #feed: Feed;
  readonly #lane: Lane;

  constructor(feed: Feed, lane: Lane) {
    this.#feed = feed;
    this.#lane = lane;
  }

  /** `begins`: the series behind an epoch's border or a hole. */
  passing(step: PassStep, begins: string): Move {
    const { dispatcher, settings, row } = this.#feed;
    const id = `${settings.name}/${this.#lane}`;
    const lose: LoseRange = (draft, cause, series, range) => {
      if (step.kind === 'hole' && step.isOfNotices) dispatcher.loseNotices(draft, step.to - step.from);
      else dispatcher.lose(draft, { kind: 'writer', id, series }, cause, range);
    };
    return passing(step, { begins, isWindowed: row.resendWindow !== undefined }, this.#of, lose);
  }

  delivering(step: WriteStep): Move {
    return delivering(step, this.freshSeries(), this.#of, (commit) => this.succeeded(commit));
  }

  /** `isLone`: a lone rejection, which counts towards the ten. */
  settingAside(step: WriteStep, failure: FondacoError, isLone: boolean): Move {
    const error = errorOf(failure, this.#feed.clock.now());
    const failed = (row: FeedRow): void => this.#feed.outage.failed(row, error);
    return settingAside(step, this.freshSeries(), { ...this.#of, error, isLone, ...(!isLone && { failed }) });
  }

  /** In the commit that settles what the destination took. */
  succeeded({ draft, row }: InCommit): void {
    if (succeed(row)) this.#feed.report(draft, 'writerResumed', `writer ${this.#feed.settings.name} delivers again`);
    this.#feed.outage.succeeded(draft, row);
    if (!row.untold) return;
    this.#feed.dispatcher.tell(draft, row.untold, this.#feed.settings.name);
    delete row.untold;
  }

  get #of(): LaneOf {
    return { writer: this.#feed.settings.name, lane: this.#lane };
  }

  freshSeries(): string {
    return uuidV7(this.#feed.clock.now());
  }
}

/** A range that a writer will not get, with the delivery series that ends before it and the one that begins after it. */
type LoseRange = (draft: Draft, cause: GivenUp, series: readonly [string, string], range: readonly [number, number]) => void;

/** Over what is not sent: folded and filtered entries, a hole, an epoch's border. `begins`: a fresh series, should one be needed. */
function passing(step: PassStep, { begins, isWindowed }: { begins: string; isWindowed: boolean }, of: LaneOf, lose: LoseRange): Move {
  const apply: Move['apply'] = (lane, commit) => {
    if (step.kind === 'pass') {
      lane.cursor = step.to;
      lane.folded += step.passed.folded;
      lane.filtered += step.passed.filtered;
      return;
    }
    const ends = lane.series;
    const end = step.kind === 'rotate' ? { cause: 'epoch' as const } : { cause: step.cause, entries: step.to - step.from };
    if (commit) endSeries(commit.draft, of, lane, end);
    lane.series = begins;
    lane.seq = 0;
    const reached = step.kind === 'rotate' ? step.from : step.to;
    // A batch never spans epochs, as what a window holds may: nothing from here on can have been in flight.
    if (step.epoch !== lane.epoch && (!isWindowed || reached >= (lane.before?.head ?? 0))) delete lane.before;
    if (commit) forgetBegun(lane, reached);
    lane.epoch = step.epoch;
    if (step.kind === 'rotate') return;
    lane.cursor = step.to;
    if (step.cause === 'age') lane.expired += step.to - step.from;
    else lane.dropped += step.to - step.from;
    if (!commit) return;
    const { draft, row } = commit;
    lose(draft, step.cause, [ends, begins], [step.from, step.to - 1]);
    if (row.outage && !step.isOfNotices) row.outage.lost[step.cause] += step.to - step.from;
    if (step.untold.length > 0) row.untold = mergeLosses(row.untold ?? [], step.untold);
  };
  return { events: 0, dead: 0, apply };
}

/** Settling has reached the position. */
function forgetBegun(lane: FeedLane, reached: number): void {
  if (!lane.begun) return;
  const left = Object.entries(lane.begun).filter(([position]) => Number(position) > reached);
  if (left.length > 0) lane.begun = Object.fromEntries(left);
  else delete lane.begun;
}

/** Over a batch that the destination took. `settled` is called in the commit. */
function delivering(step: WriteStep, begins: string, of: LaneOf, settled: (commit: InCommit) => void): Move {
  const apply: Move['apply'] = (lane, commit) => {
    passOver(lane, step);
    endBefore(lane, step, begins, of, commit);
    lane.delivered += step.deliveries.length;
    lane.attempts = lane.waitMs = 0;
    if (commit) settled(commit);
  };
  return { events: step.deliveries.length, dead: 0, apply };
}

/** Over a batch whose events become dead letters. `isLone`: a lone rejection, which counts towards the ten. */
function settingAside(
  step: WriteStep,
  begins: string,
  facts: { writer: string; lane: Lane; error: FeedError; isLone: boolean; failed?: (row: FeedRow) => void },
): Move {
  const apply: Move['apply'] = (lane, commit) => {
    const { error } = facts;
    const attempts = lane.attempts + 1;
    const firstAttemptAt = lane.attempts === 0 ? error.at : (lane.failingSince ?? error.at);
    passOver(lane, step);
    if (commit) noteSetAside(commit.draft, facts, lane, [lane.seq - step.deliveries.length + 1, lane.seq]);
    endBefore(lane, step, begins, facts, commit);
    lane.dead += step.deliveries.length;
    lane.attempts = lane.waitMs = 0;
    if (!commit) return;
    commit.row.lastError = error;
    if (facts.isLone) commit.row.loneRejections++;
    facts.failed?.(commit.row);
    if (commit.row.outage) commit.row.outage.dead += step.deliveries.length;
    for (const delivery of step.deliveries) {
      const letter = deadLetterOf(delivery, { error, attempts, firstAttemptAt, setAsideAt: error.at });
      lane.deadBytes += letter.bytes;
      commit.draft.put(deadLetterKey(facts.writer, facts.lane, delivery.entry.position), () => letter);
    }
  };
  return { events: 0, dead: step.deliveries.length, apply };
}

function passOver(lane: FeedLane, step: WriteStep): void {
  lane.cursor = step.to;
  lane.folded += step.passed.folded;
  lane.filtered += step.passed.filtered;
  lane.seq += step.deliveries.length;
}

/** With what may have been in flight by the filter before, its series ends. */
function endBefore(lane: FeedLane, step: WriteStep, begins: string, of: LaneOf, commit: InCommit | undefined): void {
  if (!lane.before) return;
  lane.before = { ...lane.before, deliveries: lane.before.deliveries - step.deliveries.length };
  if (lane.before.deliveries > 0) return;
  delete lane.before; // from here on by the new filter, under a new delivery series
  if (commit) endSeries(commit.draft, of, lane, { cause: 'filter' });
  lane.series = begins;
  lane.seq = 0;
}
