import { setImmediate } from 'node:timers';
import type { Clock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import type { EventFields } from '../core/event-input.ts';
import { EventEncoder } from './event-encoder.ts';
import type { Keeper } from './keeper.ts';
import { CHUNK_BYTES } from './memory.ts';
import type { RecorderSettings } from './options.ts';
import type { Reports } from './host-reports.ts';
import type { SeriesStore } from './series-store.ts';
import { MEMORY_BYTES_MAX } from './spiller.ts';

/** An event in memory, with its number. */
export interface Taken {
  readonly store: SeriesStore;
  readonly seq: number;
  readonly id: string;
}

/** What an intake needs. */
export interface IntakeParts {
  readonly settings: RecorderSettings;
  readonly keeper: Keeper;
  readonly clock: Clock;
  readonly reports: Reports;
  /** Called once for all that one turn of the event loop recorded. */
  readonly onTaken: () => void;
}

/** Numbers events and encodes them into memory: the part of a recorder that runs in its host's calls. No I/O, no waiting. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #encoder: EventEncoder;
  readonly #urgentFrom: number;
  readonly #urgent: SeriesStore;
  readonly #normal: SeriesStore;
  #isTicking = false;
  #isDropping = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#encoder = new EventEncoder(parts.settings);
    this.#urgentFrom = parts.settings.urgentFrom;
    this.#urgent = parts.keeper.own.stores.urgent;
    this.#normal = parts.keeper.own.stores.normal;
  }

  /** Takes a checked event; `undefined` if there was no room and it was dropped, with notice to the proxy. */
  take(fields: EventFields): Taken | undefined {
    const store = fields.severity >= this.#urgentFrom ? this.#urgent : this.#normal;
    const { memory } = store;
    const room = this.#encoder.room(fields);
    const needsChunk = memory.needsChunk(room);
    const seq = ++store.last;
    this.#tick();
    if (needsChunk) {
      if (!this.#makeRoom(Math.max(room, CHUNK_BYTES), store)) {
        store.lose({ first: seq, last: seq }, 'memory-full');
        memory.close();
        return undefined;
      }
      memory.addChunk(seq, room, this.#parts.clock.monotonic());
    }
    const { buffer, length } = memory.open;
    memory.appended(this.#encoder.encode(buffer, length, fields));
    return { store, seq, id: `${store.id}-${seq}` };
  }

  /** Declares that many events lost that had no room before the recorder was opened. */
  drop(count: number): void {
    const store = this.#normal;
    store.last += count;
    store.memory.close();
    store.lose({ first: store.last - count + 1, last: store.last }, 'memory-full');
    this.#tick();
  }

  /** Memory has a limit: something gives way, by the policy, and no urgent event to a normal one. False if it is the new event. */
  #makeRoom(bytes: number, store: SeriesStore): boolean {
    const { keeper, settings, reports } = this.#parts;
    const isUrgent = store === this.#urgent;
    const fits = (limit: number): boolean => keeper.memoryBytes + bytes <= limit;
    // Once full it drops until a quarter is free, so that the losses are few ranges and not every other event.
    if (fits((MEMORY_BYTES_MAX / 4) * 3)) this.#isDropping = false;
    if (fits(MEMORY_BYTES_MAX) && (isUrgent || !this.#isDropping)) return true;
    const text = `memory must take at most ${MEMORY_BYTES_MAX} bytes, got more: ${settings.whenFull}, see status()`;
    reports.reportBurst(new FondacoError('FULL', text));
    const full = (): boolean => !fits(MEMORY_BYTES_MAX);
    if (settings.whenFull === 'drop-oldest') {
      while (full() && this.#normal.giveUp('oldest'));
      while (isUrgent && full() && this.#urgent.giveUp('oldest'));
    } else while (isUrgent && full() && this.#normal.giveUp('newest'));
    if (!full() && (isUrgent || settings.whenFull === 'drop-oldest')) return true;
    this.#isDropping = true;
    return false;
  }

  /** What is recorded in one turn of the event loop is looked at together. */
  #tick(): void {
    if (this.#isTicking) return;
    this.#isTicking = true;
    setImmediate(() => {
      this.#isTicking = false;
      this.#parts.onTaken();
    });
  }
}
