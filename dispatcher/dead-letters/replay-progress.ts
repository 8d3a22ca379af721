import { isFondacoError, type FondacoError } from '../../core/errors.ts';
import type { Draft } from '../../core/journal.ts';
import { LANES, perLane, type Lane } from '../../core/lane.ts';
import { uuidV7 } from '../../core/uuid.ts';
import { deadAgain, deadLetterKey, removeLetters, type DeadLetter } from './dead-letters.ts';
import { addRange, endReplay } from '../feed/delivery-series.ts';
import { errorOf } from '../feed/feed-row.ts';
import type { Feed } from '../feed/feed.ts';
import { readRow } from './replay-letters.ts';
import { newReplayRow, REPLAY_PREFIX, type ChosenRow, type ReplayRow } from './replay-row.ts';

/** Letters of one lane that go together, from position `from` to before `to`. */
export interface ReplayStep {
  readonly lane: Lane;
  readonly from: number;
  readonly to: number;
  readonly letters: readonly { readonly position: number; readonly letter: DeadLetter }[];
  /** Letters among them that cannot be read. */
  readonly damaged: number;
}

type Change = (row: ReplayRow, draft: Draft) => void;

/**
 * Where a replay stands: its rows, and every commit that changes them and, with them, the letters and the books of the feed. The rows are
 * ahead of the disk by the commit in flight.
 */
export class ReplayProgress {
  readonly #feed: Feed;
  #row: ReplayRow | undefined;
  #chosen: ChosenRow | undefined;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** Of the replay under way or the last one; undefined if there was none. */
  get row(): ReplayRow | undefined {
    return this.#row;
  }

  /** The letters chosen by id, if it is about those. */
  get chosen(): ChosenRow | undefined {
    return this.#chosen;
  }

  get isRunning(): boolean {
    return this.#row?.state === 'running';
  }

  /** Takes up the rows; the journal was opened. */
  async load(): Promise<void> {
    const { journal } = this.#feed.dispatcher;
    const [row, chosen] = [await readRow(journal, this.#key), await readRow(journal, this.#chosenKey)];
    this.#row = row === 'damaged' ? undefined : (row as ReplayRow | undefined);
    this.#chosen = chosen === 'damaged' ? undefined : (chosen as ChosenRow | undefined);
    if (this.#row?.state === 'running' && this.#row.isChosen && !this.#chosen) {
      this.#row.state = 'stopped'; // its letters are all there, and may be chosen again
      this.#row.lastError = { message: '[CORRUPT] the row that names the chosen letters is damaged', at: this.#feed.clock.now() };
    }
  }

  /** A replay begins, of the chosen letters or of all that there are. */
  async begin(chosen: ChosenRow | undefined): Promise<ReplayRow> {
    const now = this.#feed.clock.now();
    const id = uuidV7(now);
    await this.#feed.command((draft) => {
      if (this.#row?.id === id) return false; // a commit that failed, and was stored all the same: it has begun
      const { lanes } = this.#feed.row;
      const ends = perLane((lane) => (chosen ? (chosen[lane].at(-1) ?? -1) + 1 : lanes[lane].cursor));
      const total = LANES.reduce((sum, lane) => sum + (chosen ? chosen[lane].length : lanes[lane].dead), 0);
      this.#row = newReplayRow(id, { ends, total, isChosen: chosen !== undefined, now });
      this.#chosen = chosen;
      draft.put(this.#key, () => this.#row);
      if (chosen) draft.put(this.#chosenKey, () => chosen);
      return true;
    });
    return this.#row!;
  }

  /** By a person. False: none is under way. */
  async stop(): Promise<boolean> {
    return this.#feed.command((draft) => {
      if (this.#row?.state !== 'running') return false;
      this.#end(this.#row, draft, 'stopped');
      return true;
    });
  }

  /** There is nothing to be sent in the step, or, without one, nothing left. */
  async passOver(step: ReplayStep | undefined, signal: AbortSignal): Promise<void> {
    await this.#commit(step, signal, (row, draft) => this.#passed(row, draft, step));
  }

  /** The destination took them: from dead to delivered, in the commit that deletes the letters. */
  async taken(step: ReplayStep, signal: AbortSignal): Promise<void> {
    const { name } = this.#feed.settings;
    await this.#commit(step, signal, (row, draft) => {
      for (const { position } of step.letters) draft.delete(deadLetterKey(name, step.lane, position));
      const lane = this.#feed.row.lanes[step.lane];
      removeLetters(
        lane,
        step.letters.map(({ letter }) => letter),
      );
      lane.delivered += step.letters.length;
      row.delivered += step.letters.length;
      this.#passed(row, draft, step);
      this.#feed.proved();
    });
  }

  /** They stay dead letters, with what the destination says now. */
  async deadAgain(step: ReplayStep, failure: FondacoError, signal: AbortSignal): Promise<void> {
    const { name } = this.#feed.settings;
    const error = errorOf(failure, this.#feed.clock.now());
    await this.#commit(step, signal, (row, draft) => {
      for (const { position, letter } of step.letters) {
        const again = deadAgain(letter, error, row.attempts + 1);
        this.#feed.row.lanes[step.lane].deadBytes += again.bytes - letter.bytes;
        draft.put(deadLetterKey(name, step.lane, position), () => again);
      }
      row.deadAgain += step.letters.length;
      const lane = row.lanes[step.lane];
      addRange((lane.setAside ??= []), lane.seq + 1, lane.seq + step.letters.length);
      row.lastError = error;
      this.#passed(row, draft, step);
    });
  }

  /** It waits for another attempt, which `count` sets. */
  async failed(failure: FondacoError, count: (row: ReplayRow) => void, signal: AbortSignal): Promise<void> {
    await this.#commit(undefined, signal, (row) => {
      if (row.state !== 'running') return;
      count(row);
      row.lastError = errorOf(failure, this.#feed.clock.now());
    });
  }

  /** It ends for what the destination said. */
  async stopFor(failure: FondacoError, signal: AbortSignal): Promise<void> {
    await this.#commit(undefined, signal, (row, draft) => {
      if (row.state !== 'running') return;
      row.lastError = errorOf(failure, this.#feed.clock.now());
      this.#end(row, draft, 'stopped');
    });
  }

  get #key(): string {
    return REPLAY_PREFIX + this.#feed.settings.name;
  }

  get #chosenKey(): string {
    return `${this.#key}/ids`;
  }

  /** The cursor moves over the step; without one there is nothing left. */
  #passed(row: ReplayRow, draft: Draft, step: ReplayStep | undefined): void {
    row.attempts = row.waitMs = 0;
    if (step) {
      const lane = row.lanes[step.lane];
      lane.next = step.to;
      lane.seq += step.letters.length;
      row.deadAgain += step.damaged;
      if (step.damaged > 0)
        row.lastError = {
          message: `[CORRUPT] ${step.damaged} dead letters are damaged and cannot be delivered`,
          at: this.#feed.clock.now(),
        };
    }
    if (row.state === 'running' && LANES.every((lane) => row.lanes[lane].next >= row.lanes[lane].end)) this.#end(row, draft, 'done');
  }

  #end(row: ReplayRow, draft: Draft, state: 'done' | 'stopped'): void {
    row.state = state;
    row.endedAt = this.#feed.clock.now();
    row.attempts = row.waitMs = 0;
    draft.put(this.#key, () => this.#row);
    draft.delete(this.#chosenKey);
    endReplay(draft, this.#feed.settings.name, this.#feed.row, row);
    this.#feed.put(draft);
  }

  /** Commits a change of the rows, unless the step was settled meanwhile: by a commit that failed, and was stored all the same. */
  async #commit(step: ReplayStep | undefined, signal: AbortSignal, change: Change): Promise<void> {
    const { id } = this.#row!;
    try {
      await this.#feed.change((draft) => {
        const row = this.#row;
        if (row?.id !== id || (step && row.lanes[step.lane].next !== step.from)) return false;
        change(row, draft);
        draft.put(this.#key, () => this.#row);
        this.#feed.put(draft);
        return true;
      }, signal);
    } catch (error) {
      if (!isFondacoError(error) || !signal.aborted) throw error; // stopping: what is not settled comes again
    }
  }
}
