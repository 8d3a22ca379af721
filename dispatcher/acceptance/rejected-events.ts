/**
 * Events that were rejected, kept to be looked at: the rows `rejected:<number>`, written by the commit that rejects. At most 1,000 of them
 * and 8 MiB, the oldest given up first; of a single one, 256 KiB. They are no part of the books: what they say, the ledger has counted.
 */
import type { RefusedEvent } from '../../core/batch.ts';
import type { Clock } from '../../core/clock.ts';
import { isFondacoError } from '../../core/errors.ts';
import { decodeEvent } from '../../core/event-codec.ts';
import { LIMITS } from '../../core/event.ts';
import type { Draft, Journal } from '../../core/journal.ts';

export const REJECTED_PREFIX = 'rejected:';

export const REJECTED_LIMITS = { events: 1000, bytes: 8 * 1024 * 1024, eventBytes: 256 * 1024, reasonChars: 2000 } as const;

interface RejectedRow extends Omit<RefusedEvent, 'bytes'> {
  /** Wall clock, ms. */
  readonly at: number;
  /** Of the event as it came. */
  readonly bytes: number;
  /** base64 of them, or of the first 256 KiB. */
  readonly event: string;
}

/** An event that was rejected, as it is kept. */
export interface RejectedEvent extends RefusedEvent {
  /** 1, 2, 3 …: in the order of their rejections. */
  readonly number: number;
  /** Wall clock, ms. */
  readonly at: number;
  /** False: `bytes` are only the beginning of the event. */
  readonly isWhole: boolean;
  readonly wholeBytes: number;
}

export interface RejectedPage {
  /** Newest first. */
  readonly events: readonly RejectedEvent[];
  /** Rows that are damaged. */
  readonly damaged: number;
  /** There are older ones: go on before this number. */
  readonly next?: number;
}

export class RejectedEvents {
  readonly #journal: Journal;
  readonly #clock: Clock;
  /** What each that is kept takes, oldest first. Runs ahead of the disk by the commits in flight. */
  #sizes = new Map<number, number>();
  #bytes = 0;
  #next = 1;
  /** Keys of rows that were damaged when they were taken up; deleted by the next commit that keeps one. */
  #damaged: string[] = [];

  constructor(journal: Journal, clock: Clock) {
    this.#journal = journal;
    this.#clock = clock;
  }

  /** Takes up what the journal holds. */
  async load(): Promise<void> {
    this.#sizes = new Map();
    this.#bytes = 0;
    this.#next = 1;
    this.#damaged = [];
    for await (const { key, value } of this.#journal.rows(REJECTED_PREFIX)) {
      const number = Number(key.slice(REJECTED_PREFIX.length));
      if (value === undefined) this.#damaged.push(key);
      else this.#note(number, (value as RejectedRow).event.length);
      this.#next = number + 1;
    }
  }

  get count(): number {
    return this.#sizes.size;
  }

  /** Keeps one with the commit, and gives up the oldest where there is no room. */
  keep(draft: Draft, { bytes, ...event }: RefusedEvent): void {
    for (const key of this.#damaged.splice(0)) draft.delete(key);
    const number = this.#next++;
    const row: RejectedRow = {
      ...event,
      type: event.type.slice(0, LIMITS.typeChars),
      node: event.node.slice(0, LIMITS.nameBytes),
      component: event.component.slice(0, LIMITS.nameBytes),
      reason: event.reason.slice(0, REJECTED_LIMITS.reasonChars),
      at: this.#clock.now(),
      bytes: bytes.length,
      event: Buffer.from(bytes.subarray(0, REJECTED_LIMITS.eventBytes)).toString('base64'),
    };
    draft.put(keyOf(number), () => row);
    this.#note(number, row.event.length);
    for (const [oldest, size] of this.#sizes) {
      if (this.#sizes.size <= REJECTED_LIMITS.events && this.#bytes <= REJECTED_LIMITS.bytes) break;
      draft.delete(keyOf(oldest));
      this.#sizes.delete(oldest);
      this.#bytes -= size;
    }
  }

  /** Reads back from `before`, as far as is durable. Rejects UNAVAILABLE while the journal is being reopened. */
  async page({ limit, before = Infinity, wants }: PageQuery): Promise<RejectedPage> {
    const events: RejectedEvent[] = [];
    let damaged = this.#damaged.length;
    const numbers = [...this.#sizes.keys()].filter((number) => number < before).reverse();
    for (const number of numbers) {
      const row = await this.#row(number);
      if (row === 'damaged') damaged++;
      else if (row && wants(row)) {
        if (events.length === limit) return { events, damaged, next: events.at(-1)!.number };
        events.push(row);
      }
    }
    return { events, damaged };
  }

  async #row(number: number): Promise<RejectedEvent | 'damaged' | undefined> {
    try {
      const row = (await this.#journal.row(keyOf(number))) as RejectedRow | undefined;
      if (!row) return undefined;
      const { bytes: wholeBytes, event, ...rest } = row;
      const bytes = Buffer.from(event, 'base64');
      return { ...rest, number, bytes, wholeBytes, isWhole: bytes.length === wholeBytes };
    } catch (error) {
      if (isFondacoError(error, 'CORRUPT')) return 'damaged';
      throw error;
    }
  }

  #note(number: number, size: number): void {
    this.#sizes.set(number, size);
    this.#bytes += size;
  }
}

export interface PageQuery {
  readonly limit: number;
  /** Only those with a lower number. */
  readonly before?: number;
  readonly wants: (event: RejectedEvent) => boolean;
}

/** What is kept of an event in its own bytes; they may be anything. */
export function refusedBytes(bytes: Uint8Array, id: string, reason: string): RefusedEvent {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { type, source } = decodeEvent(buffer, { id, site: '', labels: undefined, receivedTime: '' });
  return { input: 'grpc', form: 'protobuf', id, type, node: source.node, component: source.component, reason, bytes };
}

/** Fixed width makes the order of keys that of the numbers. */
function keyOf(number: number): string {
  return REJECTED_PREFIX + String(number).padStart(16, '0');
}
