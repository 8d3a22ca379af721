/**
 * The sender's side of one series, pure: what was settled, what is on its way, and what to send next. No clock, no I/O.
 *
 *     settled <= sent <= last given out
 *
 * Replies come in the order of the batches. After a refused batch (expected, throttle) the batches that were already behind it are
 * refused too; those refusals are stale, and going back for them again would send everything twice. So each rewind begins a new
 * generation, and a refusal counts only if its batch belongs to the present one. What a reply settles counts always.
 */
import type { BatchReply, SeqRange } from '../core/batch.ts';
import { FondacoError } from '../core/errors.ts';
import type { Lane } from '../core/lane.ts';

/** A batch on its way. */
interface Flight {
  readonly after: number;
  readonly generation: number;
  readonly isGone: boolean;
  readonly isClosing: boolean;
}

/** What to put into the next batch beside its content. */
export interface BatchHeader {
  readonly after: number;
  readonly settled: number;
  readonly settledBy: string;
  readonly isGone: boolean;
}

/**
 * What a reply meant. settled: take `settled` as it is now. rewound: go on after `sent`, which went back. throttled: the same, but not
 * before `throttleMs`. stale: the refusal of a batch that was sent before a rewind. closed: the series is over.
 */
export type ReplyOutcome = 'settled' | 'rewound' | 'throttled' | 'stale' | 'closed';

export interface SendWindowStart {
  readonly series: Uint8Array;
  readonly lane: Lane;
  /** An older life goes on where it was settled. */
  readonly settled?: number;
  readonly settledBy?: string;
}

export class SendWindow {
  readonly series: Uint8Array;
  readonly lane: Lane;
  #settled: number;
  #settledBy: string;
  #sent: number;
  /** The highest seq ever sent: nobody can have settled more. */
  #highest: number;
  #isGone = false;
  #isClosed = false;
  #generation = 0;
  readonly #flights: Flight[] = [];

  constructor({ series, lane, settled = 0, settledBy = '' }: SendWindowStart) {
    this.series = series;
    this.lane = lane;
    this.#settled = this.#sent = this.#highest = settled;
    this.#settledBy = settledBy;
  }

  /** Every seq up to this one is stored at a proxy, rejected or declared lost. Never moves back. */
  get settled(): number {
    return this.#settled;
  }

  /** The journal that settled it; '' if nothing was settled yet. */
  get settledBy(): string {
    return this.#settledBy;
  }

  /** Everything up to this one is settled or on its way. */
  get sent(): number {
    return this.#sent;
  }

  /** A closing batch was answered: nothing may ever be sent in this series again. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get inFlight(): number {
    return this.#flights.length;
  }

  /** Notes a batch that covers the seqs from `sent` + 1 to `last`; returns what its header says. */
  send(last: number, { isClosing = false } = {}): BatchHeader {
    const header = { after: this.#sent, settled: this.#settled, settledBy: this.#settled > 0 ? this.#settledBy : '', isGone: this.#isGone };
    this.#flights.push({ after: this.#sent, generation: this.#generation, isGone: this.#isGone, isClosing });
    this.#sent = last;
    this.#highest = Math.max(this.#highest, last);
    return header;
  }

  /** Takes the reply to the oldest batch on its way. Throws UNAVAILABLE for a reply that breaks the protocol: the link is then no good. */
  reply(reply: BatchReply): ReplyOutcome {
    const flight = this.#flights.shift();
    if (!flight) throw broken('a reply to a batch', 'one more than there were batches');
    if (flight.isClosing) {
      // Whatever it says: everything was settled, and a row that is gone already is what we ask for.
      this.#isClosed = true;
      return 'closed';
    }
    if (reply.throttleMs !== undefined) return this.#refused(flight, this.#settled, 'throttled');
    if (reply.expected !== undefined) return this.#expected(flight, reply.expected);
    return this.#settle(flight, reply);
  }

  /** The link failed: what was sent and not settled is to be sent again. */
  reset(): void {
    this.#flights.length = 0;
    this.#generation++;
    this.#sent = this.#settled;
    this.#isGone = false;
  }

  #settle(flight: Flight, reply: BatchReply): ReplyOutcome {
    if (reply.journal === '') throw broken('the id of the journal', 'none');
    if (reply.settled < flight.after) throw broken(`settled ${flight.after} or more`, `${reply.settled}`);
    const settled = Math.min(reply.settled, this.#highest);
    if (flight.isGone && flight.generation === this.#generation) this.#isGone = false;
    if (settled > this.#settled || this.#settledBy === '') {
      this.#settled = Math.max(this.#settled, settled);
      this.#settledBy = reply.journal;
    }
    this.#sent = Math.max(this.#sent, this.#settled);
    return 'settled';
  }

  #expected(flight: Flight, expected: number): ReplyOutcome {
    if (flight.generation !== this.#generation) return 'stale';
    if (expected > flight.after || flight.isGone) throw broken(`batch after ${flight.after} to be taken`, `expected: ${expected}`);
    // What lies between is no longer held: the next batch says so.
    if (expected <= this.#settled) this.#isGone = true;
    return this.#refused(flight, Math.max(expected - 1, this.#settled), 'rewound');
  }

  #refused(flight: Flight, back: number, outcome: ReplyOutcome): ReplyOutcome {
    if (flight.generation !== this.#generation) return 'stale';
    this.#generation++;
    this.#sent = back;
    return outcome;
  }
}

/** How many of the seqs `first` to `last` the ranges hold. */
export function countWithin(ranges: readonly SeqRange[], first: number, last: number): number {
  let count = 0;
  for (const range of ranges) count += Math.max(0, Math.min(range.last, last) - Math.max(range.first, first) + 1);
  return count;
}

function broken(expected: string, got: string): FondacoError {
  return new FondacoError('UNAVAILABLE', `the proxy's reply must be ${expected}, got ${got}`);
}
