/**
 * Room for what comes in: the journal's budget, what is on its way to the disk, and why nothing is taken where nothing is.
 *
 * Where the budget is spent, a batch waits while history is trimmed and writers pay (backlog.ts); first come, first taken. It is refused
 * only when nobody will pay, or none has within `WAIT_MS`.
 */
import type { Clock } from '../../core/clock.ts';
import type { Journal } from '../../core/journal.ts';
import { LANES } from '../../core/lane.ts';

/** Bytes that wait or are not durable yet; beyond it senders are throttled. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
export const THROTTLE_MS = 100;
/** When to ask again where there is no room. */
const FULL_MS = 1000;
/** Less than a sender waits for its reply (10 s), and more than a writer that pays may need to let go of its write in flight (5 s). */
const WAIT_MS = 8_000;
const SPENT = 'the budget of the journal is spent';

interface Waiting {
  readonly bytes: number;
  readonly over: AbortController;
  isTaken?: boolean;
}

/** First come, first taken; `refusal` says why nothing is. */
export class Room {
  readonly #journal: Journal;
  readonly #clock: Clock;
  /** Taken, and not durable yet. */
  #pendingBytes = 0;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #bytesMax = Infinity;
  #high = Infinity;
  #onFull: () => void = () => undefined;
  #refusal: string | undefined;
  /** Something has waited for too long: until there is room, nothing more waits. */
  #isStuck = false;

  constructor(journal: Journal, clock: Clock) {
    this.#journal = journal;
    this.#clock = clock;
  }

  /** Takes bytes in, to be given back when they are durable. Resolves with 0, or with the ms after which to ask again; never rejects. */
  async take(bytes: number): Promise<number> {
    if (this.refusal !== undefined) {
      this.#onFull();
      return FULL_MS;
    }
    if (this.#pendingBytes + this.#waitingBytes > PENDING_BYTES_MAX) return THROTTLE_MS;
    if (this.#isSpent || this.#waiting.length > 0) return (await this.#wait(bytes)) ? 0 : FULL_MS;
    this.#pendingBytes += bytes;
    return 0;
  }

  /** What was taken is durable, or will not be. */
  giveBack(bytes: number): void {
    this.#pendingBytes -= bytes;
    this.#admit();
    if (this.#bytes > this.#high) this.#onFull();
  }

  /** Takes nothing in beyond `bytesMax` of entries in the journal; `onFull` is called when that keeps something out, and from `high` on. */
  limit({ bytesMax, high }: { bytesMax: number; high: number }, onFull: () => void): void {
    this.#bytesMax = bytesMax;
    this.#high = high;
    this.#onFull = onFull;
    this.#admit();
  }

  /** Takes nothing in, for a reason that people are shown, until it is called without one. */
  refuse(reason: string | undefined): void {
    this.#refusal = reason;
    this.#admit();
  }

  /** Why nothing is taken in at the moment. */
  get refusal(): string | undefined {
    if (this.#journal.isLow) return 'the disk is full';
    return this.#refusal ?? (this.#isStuck && this.#isSpent ? SPENT : undefined);
  }

  get #bytes(): number {
    return LANES.reduce((sum, lane) => sum + this.#journal.bytes(lane), this.#pendingBytes);
  }

  get #isSpent(): boolean {
    return this.#bytes > this.#bytesMax;
  }

  /** Resolves with whether the bytes are taken. */
  async #wait(bytes: number): Promise<boolean> {
    const waiting: Waiting = { bytes, over: new AbortController() };
    this.#waiting.push(waiting);
    this.#waitingBytes += bytes;
    this.#onFull();
    await this.#clock.sleep(WAIT_MS, waiting.over.signal);
    if (waiting.isTaken === undefined) {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      this.#waitingBytes -= bytes;
      this.#isStuck = true;
    }
    return waiting.isTaken === true;
  }

  /** Answers those that wait, as far as there is an answer. */
  #admit(): void {
    if (!this.#isSpent) this.#isStuck = false;
    const isRefused = this.#journal.isLow || this.#refusal !== undefined;
    for (let next = this.#waiting[0]; next && (isRefused || !this.#isSpent); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#waitingBytes -= next.bytes;
      if (!isRefused) this.#pendingBytes += next.bytes;
      next.isTaken = !isRefused;
      next.over.abort();
    }
  }
}
