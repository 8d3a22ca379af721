import type { Batch, BatchReply, LossCause, LostRange, Rejection } from '../../core/batch.ts';
import { isFondacoError } from '../../core/errors.ts';
import type { Lane } from '../../core/lane.ts';
import { Sender } from './dispatch-kit.ts';

type Accept = (batch: Batch) => Promise<BatchReply>;
type Input = Record<string, unknown>;

/**
 * A sender that keeps the rules of service.proto and no others: settled <= sent <= recorded; goes back at `expected` and after an error,
 * pipelines, forgets what is settled, and says `gone` when it is asked for what it forgot. Some replies are lost on their way.
 */
export class RuleSender {
  readonly recorded: Input[] = [];
  /** Seqs whose event it has lost, and declares. */
  readonly lost = new Map<number, LossCause>();
  readonly rejections = new Map<number, string>();
  settled = 0;
  settledBy = '';
  readonly #sender: Sender;
  #sent = 0;
  #isGone = false;
  #life = 0;

  constructor(lane: Lane = 'normal') {
    this.#sender = new Sender(lane);
  }

  get series(): Uint8Array {
    return this.#sender.series;
  }

  get isSettled(): boolean {
    return this.settled === this.recorded.length;
  }

  record(...events: Input[]): void {
    this.recorded.push(...events);
  }

  /** What it would have recorded now is lost. */
  lose(count: number, cause: LossCause): void {
    for (let i = 0; i < count; i++) this.lost.set(this.recorded.push({}), cause);
  }

  /** Sends one batch of at most `eventsMax` events; what comes of it is seen when its reply arrives. */
  async send(accept: Accept, eventsMax: number, { isReplyLost = false } = {}): Promise<void> {
    const after = this.#sent;
    const taken = this.recorded.slice(after, after + eventsMax);
    if (taken.length === 0) return;
    const life = this.#life;
    this.#sent += taken.length;
    const events = taken.filter((_, i) => !this.lost.has(after + 1 + i));
    const batch = this.#sender.batch(after, events, {
      lost: this.#lostBetween(after, this.#sent),
      settled: this.settled,
      settledBy: this.settledBy,
      isGone: this.#isGone,
    });
    try {
      const reply = await accept(batch);
      if (isReplyLost) this.reset();
      else if (life === this.#life) this.#take(reply);
    } catch (error) {
      if (!isFondacoError(error)) throw error;
      if (life === this.#life) this.reset();
    }
  }

  /** The link failed: what was sent and not settled is sent again, and replies to it are not heard. */
  reset(): void {
    this.#life++;
    this.#sent = this.settled;
    this.#isGone = false;
  }

  /** Ranges of one cause, in order. */
  #lostBetween(after: number, last: number): LostRange[] {
    const lost: { first: number; last: number; cause: LossCause }[] = [];
    for (let seq = after + 1; seq <= last; seq++) {
      const cause = this.lost.get(seq);
      const before = lost.at(-1);
      if (cause && before?.last === seq - 1 && before.cause === cause) before.last = seq;
      else if (cause) lost.push({ first: seq, last: seq, cause });
    }
    return lost;
  }

  #take(reply: BatchReply): void {
    for (const rejection of reply.rejections) this.#refused(rejection);
    if (reply.throttleMs !== undefined) {
      this.reset();
      return;
    }
    if (reply.expected !== undefined) {
      this.reset();
      this.#isGone = reply.expected <= this.settled;
      return;
    }
    this.#isGone = false;
    this.settled = Math.max(this.settled, reply.settled);
    this.settledBy = reply.journal;
    this.#sent = Math.max(this.#sent, this.settled);
  }

  #refused({ seq, reason }: Rejection): void {
    this.rejections.set(seq, reason);
  }
}
