import type { Entry, Epoch } from '../../../core/journal.ts';
import type { DecodedEvent } from '../../../core/event-codec.ts';
import { LANES, type Lane, type PerLane } from '../../../core/lane.ts';
import { readBlob } from '../../../journal/blob.ts';
import { blobKey, blobsEnd } from '../../../journal/keys.ts';
import type { MemoryStorage } from '../../../journal/memory-journal.ts';
import { decodeOf, rowOf, rowsOf } from '../../support/store-audit.ts';

/** An entry as it was when its commit became durable. */
export interface Known {
  readonly entry: Entry;
  readonly event: DecodedEvent;
}

/**
 * What a store has ever held, by looking at it from outside after every commit: also what was trimmed or damaged since. Counts nothing that
 * the proxy counts.
 */
export class History {
  readonly lanes: PerLane<Known[]>;
  readonly problems: string[] = [];
  #added = 0;
  #accepted = 0;
  readonly #seen: Set<string>;

  constructor(other?: History) {
    this.lanes = { urgent: [...(other?.lanes.urgent ?? [])], normal: [...(other?.lanes.normal ?? [])] };
    this.#seen = new Set(other ? other.#seen : []);
    this.#added = other ? other.#added : 0;
    this.#accepted = other ? other.#accepted : 0;
  }

  /** `unreported`: what windows held whose first was damaged. */
  look(storage: MemoryStorage, unreported: number): void {
    const epochs = new Map((rowOf(storage, 'm:epochs') as { epochs: Epoch[] }).epochs.map((epoch) => [epoch.number, epoch]));
    for (const lane of LANES) this.#lookAt(storage, lane, epochs);
    const held = rowsOf(storage, 'window:').reduce((sum, { value }) => sum + (value as { held: number }).held, 0);
    if (this.#added + held + unreported !== this.#accepted)
      this.problems.push(`added ${this.#added} + held ${held} + unreported ${unreported}, of ${this.#accepted} accepted`);
  }

  #lookAt(storage: MemoryStorage, lane: Lane, epochs: ReadonlyMap<number, Epoch>): void {
    const known = this.lanes[lane];
    for (const [key, value] of storage.range(blobKey(lane, known.length + 1), blobsEnd(lane))) {
      const first = known.length + 1;
      for (const entry of readBlob({ lane, first, key, value }, (number) => epochs.get(number)!)) this.#add(entry);
    }
    const { head } = (rowOf(storage, 'm:lanes') as PerLane<{ head: number }>)[lane];
    if (head !== known.length + 1) this.problems.push(`the head of ${lane} must be ${known.length + 1}, got ${head}`);
  }

  #add(entry: Entry): void {
    const event = decodeOf(entry);
    this.lanes[entry.lane].push({ entry, event });
    const id = `${entry.series}-${entry.seq}`;
    if (this.#seen.has(id)) this.problems.push(`${id} is stored twice`);
    this.#seen.add(id);
    if (entry.kind !== 'made') this.#accepted++;
    if (entry.kind === 'accepted') this.#added++;
    else if (entry.kind === 'made' && event.revision > 0) this.#added += event.added;
  }

  get accepted(): number {
    return this.#accepted;
  }
}
