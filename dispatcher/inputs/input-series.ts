/**
 * A series of the proxy's own, for an input whose senders have none: one of each lane, of each opening of the input.
 *
 * Requests get their seqs when their batch goes out, whole requests in the order in which they came, so seqs are dense. One batch is under
 * way at a time, and what arrives meanwhile joins the next: group commit, as the journal does it. A request that fails takes no seq with it:
 * `after` is always what the dispatcher settled. A commit that failed may still be found on disk (the sync failed, not the write); so after
 * any failure the dispatcher is asked how far it knows the series, before another event is numbered.
 */
import type { Batch, BatchReply, RefusedEvent } from '../../core/batch.ts';
import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';
import type { Lane } from '../../core/lane.ts';
import type { Severity } from '../../core/severity.ts';
import type { TypeRules } from '../../core/type-rules.ts';
import { uuidText, uuidV7Bytes } from '../../core/uuid.ts';

/** What an input of this process needs: one whose senders have no series of their own. */
export interface InputOptions {
  /** Resolves when the batch is durable. Rejects UNAVAILABLE or FULL; anything else is a bug. */
  readonly accept: (batch: Batch) => Promise<BatchReply>;
  /** UUID of the journal behind it. */
  readonly journal: string;
  /** Why nothing is taken in at the moment, where that is for want of room. */
  readonly refusal: () => string | undefined;
  readonly clock: Clock;
  /** The node of events that name none. */
  readonly node: string;
  /** The lowest severity of the urgent lane. */
  readonly urgent: Severity;
  /** What catalogs say of event types. */
  readonly types?: TypeRules | undefined;
}

export interface InputSeriesOptions extends Pick<InputOptions, 'accept' | 'journal' | 'refusal'> {
  readonly lane: Lane;
  /** Who sends, for messages to people. */
  readonly sender: Batch['sender'];
  /** Wall clock, ms: the birth of the series. */
  readonly now: number;
}

/** Where a request's events are: their ids are `<series>-<first>` and up. */
export interface Taken {
  readonly series: string;
  readonly first: number;
}

/** Requests join a batch until it has so many bytes: it is taken in one turn, in which nothing else is done. */
const BATCH_BYTES = 1024 * 1024;

interface Waiting {
  readonly events: readonly Uint8Array[];
  readonly refused: readonly RefusedEvent[];
  readonly resolve: (taken: Taken) => void;
  readonly reject: (error: unknown) => void;
}

export class InputSeries {
  readonly #options: InputSeriesOptions;
  readonly #bytes: Buffer;
  readonly #id: string;
  #waiting: Waiting[] = [];
  #sending: Promise<void> | undefined;
  #settled = 0;
  /** A batch failed, and how far the series is stored has to be asked. */
  #isUnsure = false;
  #isClosed = false;

  constructor(options: InputSeriesOptions) {
    this.#options = options;
    this.#bytes = uuidV7Bytes(options.now);
    this.#id = uuidText(this.#bytes);
  }

  /** Events stored so far. */
  get settled(): number {
    return this.#settled;
  }

  /**
   * Takes a request's events, all or none; they must be such that acceptance does not reject them. What was `refused` of the request is kept
   * in the same commit, to be looked at. Resolves when they are durable. Rejects
   * FULL or UNAVAILABLE, or with a bug of `accept`; then none is stored, as far as anyone was told.
   */
  take(events: readonly Uint8Array[], refused: readonly RefusedEvent[] = []): Promise<Taken> {
    if (this.#isClosed)
      return Promise.reject(new FondacoError('UNAVAILABLE', 'nothing more is taken, this is the end of its run', { retryAfterMs: 1000 }));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ events, refused, resolve, reject });
      this.#sending ??= this.#sendAll();
    });
  }

  /** Takes nothing more, waits for what was taken, and closes the series if it can; its row is then freed. Never rejects for the journal. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#sending;
    if (this.#settled === 0 && !this.#isUnsure) return;
    try {
      await this.#accept([], { isClosing: true });
    } catch (error) {
      if (!isFondacoError(error)) throw error; // a courtesy: an unclosed series is a row too many
    }
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const requests = this.#nextRequests();
      try {
        const refused = requests.flatMap((request) => request.refused);
        let first =
          (await this.#send(
            requests.flatMap(({ events }) => events),
            refused,
          )) + 1;
        for (const { events, resolve } of requests) {
          resolve({ series: this.#id, first });
          first += events.length;
        }
      } catch (error) {
        for (const { reject } of requests) reject(error);
      }
    }
    this.#sending = undefined;
  }

  #nextRequests(): Waiting[] {
    let bytes = 0;
    let end = 0;
    while (end < this.#waiting.length && bytes < BATCH_BYTES) {
      for (const event of this.#waiting[end]!.events) bytes += event.length;
      for (const event of this.#waiting[end]!.refused) bytes += event.bytes.length;
      end++;
    }
    return this.#waiting.splice(0, end);
  }

  /** Sends a batch; resolves with the seq after which its events are stored. */
  async #send(events: readonly Uint8Array[], refused: readonly RefusedEvent[]): Promise<number> {
    if (this.#isUnsure) {
      const { settled } = await this.#accept([], { after: 0 });
      this.#settled = Math.max(this.#settled, settled);
      this.#isUnsure = false;
    }
    const after = this.#settled;
    this.#isUnsure = true;
    let reply = await this.#accept(events, { refused });
    // The journal has lost what it had settled: it says so in a loss notice, and goes on from here.
    if (reply.expected !== undefined) reply = await this.#accept(events, { isGone: true, refused });
    if (reply.settled !== after + events.length || reply.rejections.length > 0)
      throw new Error(`a batch of ${events.length} after ${after} must be settled whole, got ${JSON.stringify(reply)}`);
    this.#settled = reply.settled;
    this.#isUnsure = false;
    return after;
  }

  async #accept(events: readonly Uint8Array[], more: Partial<Batch>): Promise<BatchReply> {
    const { lane, accept, journal, refusal, sender } = this.#options;
    const settled = this.#settled;
    const batch = {
      series: this.#bytes,
      lane,
      after: settled,
      settled: 0,
      settledBy: settled === 0 ? '' : journal,
      isGone: false,
      lost: [],
    };
    const reply = await accept({ ...batch, events, isClosing: false, sender, ...more });
    const { throttleMs } = reply;
    if (throttleMs === undefined) return reply;
    const reason = refusal();
    if (reason !== undefined) throw new FondacoError('FULL', `the journal must have room: ${reason}`, { retryAfterMs: throttleMs });
    throw new FondacoError('UNAVAILABLE', 'the journal must keep up, got more than it can take now', { retryAfterMs: throttleMs });
  }
}
