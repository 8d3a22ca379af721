import type { Batch, BatchReply, Rejection } from '../../core/batch.ts';
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

  /** Sends one batch of at most `eventsMax` events; what comes of it is seen when its reply arrives. */
  async send(accept: Accept, eventsMax: number, { isReplyLost = false } = {}): Promise<void> {
    const after = this.#sent;
    const events = this.recorded.slice(after, after + eventsMax);
    if (events.length === 0) return;
    const life = this.#life;
    this.#sent += events.length;
    const batch = this.#sender.batch(after, events, { settled: this.settled, settledBy: this.settledBy, isGone: this.#isGone });
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
