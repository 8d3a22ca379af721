/**
 * A replay: a writer's dead letters, delivered again by a job of its own, with its own cursor, retry state and delivery series. The feed's
 * cursor and order know nothing of it; they share the writer, lane by lane in turns, and the books: a letter that is taken moves from dead
 * to delivered in the commit that deletes it. Letters go in the order of their positions, the urgent lane's first, one batch at a time.
 *
 * What the destination says means what it means to a feed (ARCHITECTURE.md, the table of faults), but for what there is nothing to protect
 * from: a letter that is rejected again stays a dead letter, with the new answer, and the replay goes on; a refusal ends it.
 *
 * A kill at any moment repeats at most the batch in flight, under the same numbers: nobody else removes letters while it runs.
 */
import { isExhausted } from '../../core/backoff.ts';
import { Bell } from '../../core/bell.ts';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import { LANES, perLane, type Lane } from '../../core/lane.ts';
import type { Delivery } from '../../core/writer.ts';
import { BatchSize } from '../feed/batch-size.ts';
import { eventOf, type DeadLetter, type LetterPlace } from './dead-letters.ts';
import type { Feed } from '../feed/feed.ts';
import { nextLetters, readLetter, type ReplayLetter } from './replay-letters.ts';
import { ReplayProgress, type ReplayStep } from './replay-progress.ts';
import { replayStatus, type ChosenRow, type ReplayRow, type ReplayStatus } from './replay-row.ts';
import { RetryTimer } from '../feed/retry-timer.ts';
import { CONFIRM_MS } from '../feed/unconfirmed.ts';

/** After so many lone rejections in a row the letters are tried one by one: halving batches would only be more requests. */
const LONE_REJECTIONS_MAX = 10;

/** `missing`: ids that no letter has. */
export type Started =
  { readonly replay: ReplayStatus; readonly missing: readonly LetterPlace[] } | { readonly busy: string } | { readonly nothing: true };

/** A writer's replays, one at a time. */
export class Replay {
  readonly #feed: Feed;
  readonly #progress: ReplayProgress;
  readonly #retry: RetryTimer;
  readonly #size: BatchSize;
  readonly #bell = new Bell();
  /** From before a batch is sent until it is settled. */
  #isAtWork = false;
  #isStarting = false;
  #rejectionsInARow = 0;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#progress = new ReplayProgress(feed);
    this.#retry = new RetryTimer(feed.clock);
    this.#size = new BatchSize(feed.settings.batch.eventsMax);
  }

  /** Takes up the rows; the journal was opened. */
  async load(): Promise<void> {
    await this.#progress.load();
    if (this.#row) this.#retry.load(this.#row);
    this.#bell.ring();
  }

  /** Of the one under way or the last one, ahead of the disk by the commit in flight; undefined if there was none. */
  status(): ReplayStatus | undefined {
    const isWaiting = this.#feed.row.state === 'paused' || (this.#row?.attempts ?? 0) > 0;
    return this.#row && replayStatus(this.#feed.settings.name, this.#row, isWaiting);
  }

  /** True while letters must not be removed by anybody else. */
  get isUnderWay(): boolean {
    return this.#isStarting || this.#isAtWork || this.#progress.isRunning;
  }

  /** Tries now instead of at the end of a back-off, though never before what the destination asked for; looks again. */
  forward(): void {
    this.#retry.forward();
    this.#bell.ring();
  }

  /** Tries now, whatever the destination asked for. */
  tryNow(): void {
    this.#retry.now();
    this.#bell.ring();
  }

  /**
   * Begins, with the chosen letters or all that there are at this moment, and resolves when that is durable. Rejects UNAVAILABLE or FULL
   * where the journal takes nothing.
   */
  async start(places?: readonly LetterPlace[]): Promise<Started> {
    const { name } = this.#feed.settings;
    if (this.isUnderWay) return { busy: `a replay of ${name} is under way` };
    if (this.#feed.isPurging) return { busy: `dead letters of ${name} are being purged` };
    this.#isStarting = true;
    try {
      if (!places) return await this.#begin(undefined, []);
      const { chosen, missing } = await this.#choose(places);
      return missing.length === places.length ? { nothing: true } : await this.#begin(chosen, missing);
    } finally {
      this.#isStarting = false;
    }
  }

  /** Ends it; a batch in flight is still settled. False: none is under way. */
  async stop(): Promise<boolean> {
    return this.#progress.stop();
  }

  /** Delivers until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#bell.ring(), { once: true });
    while (!signal.aborted) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) await this.#bell.wait(this.#feed.clock, waitMs);
      else await this.#goOn(signal);
    }
  }

  get #row(): ReplayRow | undefined {
    return this.#progress.row;
  }

  async #choose(places: readonly LetterPlace[]): Promise<{ chosen: ChosenRow; missing: LetterPlace[] }> {
    const { dispatcher, settings } = this.#feed;
    const found = perLane(() => new Set<number>());
    const missing: LetterPlace[] = [];
    for (const place of places) {
      if (await readLetter(dispatcher.journal, settings.name, place)) found[place.lane].add(place.position);
      else missing.push(place);
    }
    return { chosen: perLane((lane) => [...found[lane]].sort((a, b) => a - b)), missing };
  }

  async #begin(chosen: ChosenRow | undefined, missing: readonly LetterPlace[]): Promise<Started> {
    const row = await this.#progress.begin(chosen);
    this.#size.found();
    this.#rejectionsInARow = 0;
    this.#retry.load(row);
    this.#bell.ring();
    return { replay: this.status()!, missing };
  }

  #waitMs(): number {
    if (!this.#progress.isRunning || this.#feed.row.state === 'paused') return Infinity;
    return this.#row!.attempts > 0 ? this.#retry.dueInMs() : 0;
  }

  async #goOn(signal: AbortSignal): Promise<void> {
    const { id } = this.#row!;
    let step: ReplayStep | undefined;
    try {
      step = await this.#next();
    } catch (error) {
      if (!isFondacoError(error)) throw error;
      await this.#feed.clock.sleep(100, signal); // the journal is being reopened
      return;
    }
    if (this.#row?.id !== id) return;
    if (!step || step.letters.length === 0) {
      await this.#progress.passOver(step, signal);
      return;
    }
    this.#isAtWork = true;
    try {
      await this.#deliver(step, signal);
    } finally {
      this.#isAtWork = false;
    }
  }

  /** The next batch, or what there is to be passed over; undefined at the end. */
  async #next(): Promise<ReplayStep | undefined> {
    const { journal } = this.#feed.dispatcher;
    const { name: writer, batch } = this.#feed.settings;
    const { lanes, isChosen } = this.#row!;
    const lane = LANES.find((each) => lanes[each].next < lanes[each].end);
    if (!lane) return undefined;
    const { next: from, end } = lanes[lane];
    const eventsMax = this.#rejectionsInARow >= LONE_REJECTIONS_MAX ? 1 : this.#size.next;
    const range = { writer, lane, from, end, ...(isChosen && { chosen: this.#progress.chosen?.[lane] ?? [] }) };
    const found = await nextLetters(journal, range, { eventsMax, bytesMax: batch.bytesMax });
    const letters = found.filter((each): each is ReplayLetter & { letter: DeadLetter } => each.letter !== undefined);
    return { lane, from, to: (found.at(-1)?.position ?? end - 1) + 1, letters, damaged: found.length - letters.length };
  }

  async #deliver(step: ReplayStep, signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#feed;
    const { id, lanes } = this.#row!;
    const { series, seq } = lanes[step.lane];
    const deliveries = step.letters.map(({ letter }, i): Delivery => {
      const delivery = { writer: settings.name, lane: step.lane, series, seq: seq + 1 + i };
      return { event: eventOf(letter), delivery, entry: letter.entry, isReplay: true };
    });
    const sentAt = clock.monotonic();
    const sent = await this.#feed.inTurn(step.lane, async () => {
      if (signal.aborted || this.#row?.id !== id || this.#waitMs() > 0) return undefined;
      const failure = await this.#feed.attempt(deliveries, signal);
      if (failure?.code === 'UNAVAILABLE') this.#feed.lanes[step.lane].takeBack(); // they share a connection
      return { failure };
    });
    if (!sent) return;
    this.#retry.attempted();
    const failure = sent.failure ?? (await this.#unconfirmed(step.lane, sentAt, signal));
    if (!failure) await this.#taken(step, signal);
    else if (!signal.aborted) await this.#failed(await this.#atFault(step, failure, signal), failure, signal);
  }

  /** Without acknowledgements a batch counts as taken when the connection has not broken for so long. */
  async #unconfirmed(lane: Lane, sentAt: number, signal: AbortSignal): Promise<FondacoError | undefined> {
    const { clock, settings } = this.#feed;
    if ((settings.writer.resendWindow ?? 0) === 0) return undefined;
    await clock.sleep(CONFIRM_MS, signal);
    if (!signal.aborted && this.#feed.brokenAt < sentAt && !settings.writer.hasBroken?.(lane)) return undefined;
    return new FondacoError('UNAVAILABLE', 'the connection must hold after a batch without acknowledgement, got its end');
  }

  async #taken(step: ReplayStep, signal: AbortSignal): Promise<void> {
    await this.#progress.taken(step, signal);
    this.#size.delivered(step.letters.length);
    this.#rejectionsInARow = 0;
  }

  /** Where the writer says how far it got, that much is settled, and what is left is the letter that the failure is about. */
  async #atFault(step: ReplayStep, { facts: { taken } }: FondacoError, signal: AbortSignal): Promise<ReplayStep> {
    const { letters, damaged } = step;
    const found = taken === undefined || letters.length === 1 || damaged > 0 ? undefined : letters[taken];
    if (!found) return step;
    const { position } = found;
    if (taken! > 0) await this.#taken({ ...step, to: position, letters: letters.slice(0, taken) }, signal);
    return { ...step, from: position, to: position + 1, letters: [found] };
  }

  async #failed(step: ReplayStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const { retry } = this.#feed.settings;
    const events = step.letters.length;
    if (failure.code === 'REJECTED' && events > 1) {
      if (failure.facts.tooLarge) this.#size.tooLarge(events);
      else this.#size.rejected(events);
    } else if (failure.code === 'REJECTED') {
      await this.#progress.deadAgain(step, failure, signal);
      this.#size.found();
      this.#rejectionsInARow++;
    } else if (failure.code === 'REFUSED' || failure.code === 'CONFIG') await this.#progress.stopFor(failure, signal);
    else if (!isExhausted(retry, this.#row!.attempts + 1)) {
      const { random } = this.#feed.dispatcher;
      await this.#progress.failed(failure, (row) => this.#retry.failed(row, failure, { policy: retry, random }), signal);
    } else if (retry.policy === 'dead-letter') await this.#progress.deadAgain(step, failure, signal);
    else await this.#progress.stopFor(failure, signal);
  }
}
