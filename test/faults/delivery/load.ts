/** The events of a site, recorded at a pace, and the memory of what they were. */
import type { Lane } from '../../../core/lane.ts';
import type { Recorder } from '../../../recorder/index.ts';
import { pause } from '../../support/pause.ts';
import { until } from '../../support/until.ts';

/** Types that some filters leave out, and that some destinations refuse. */
export const SKIPPED = 'test.Skipped';
export const POISON = `test.Poison.${'x'.repeat(100)}`;

/** A slow machine settles less than is recorded, and a recorder's room is not what is tested. */
const UNSETTLED_MAX = 2000;
const BURST = 20;
const BURST_MS = 10;
const URGENT_EVERY = 10;
const SKIPPED_EVERY = 3;
const OBJECTS = 4;
/** With dedup: so many kinds recur. */
const KINDS = 250;
const WAIT_MS = 300_000;

export interface Recorded {
  readonly lane: Lane;
  /** Among all that were recorded. */
  readonly at: number;
  readonly type: string;
  readonly message: string;
}

export class Load {
  readonly recorder: Recorder;
  readonly isDedup: boolean;
  /** In order. */
  readonly byId = new Map<string, Recorded>();

  constructor(recorder: Recorder, isDedup: boolean) {
    this.recorder = recorder;
    this.isDedup = isDedup;
  }

  get count(): number {
    return this.byId.size;
  }

  countOf(type: string): number {
    let count = 0;
    for (const recorded of this.byId.values()) if (recorded.type === type) count++;
    return count;
  }

  /** Records until `target` events were, and then a little more until `isDone`. */
  async run(target: number, isDone: () => boolean): Promise<void> {
    const end = Date.now() + WAIT_MS;
    while (this.count < target || !isDone()) {
      if (Date.now() > end) throw new Error(`${this.count} of ${target} events were recorded within ${WAIT_MS} ms`);
      const isBehind = this.count < target;
      if (this.count - this.recorder.status().ledger.settled < UNSETTLED_MAX) this.#record(isBehind ? BURST : 2);
      await pause(isBehind ? BURST_MS : 2 * BURST_MS);
    }
  }

  /** One for each lane that some destinations never take. */
  poison(): void {
    for (const isUrgent of [true, false]) this.#event(POISON, isUrgent, `poison ${this.count}`, 0);
  }

  /** Resolves when the proxy has it all. */
  async settled(): Promise<void> {
    await until('the proxy has settled it', () => this.recorder.status().ledger.settled === this.count, WAIT_MS);
  }

  #record(count: number): void {
    for (let i = 0; i < count; i++) {
      const n = this.count + 1;
      const isUrgent = n % URGENT_EVERY === 0;
      const type = isUrgent ? 'test.Critical' : n % SKIPPED_EVERY === 0 ? SKIPPED : 'test.Event';
      const shown = this.isDedup ? (n * 7) % KINDS : n;
      this.#event(type, isUrgent, `"№" ${shown}\\ 😀`, shown % OBJECTS);
    }
  }

  #event(type: string, isUrgent: boolean, message: string, object: number): void {
    const id = this.recorder.event(type, isUrgent ? 'critical' : 'info', message, { object: { kind: 'Node', name: `n${object}` } });
    if (id === undefined) throw new Error('an event must be taken');
    this.byId.set(id, { lane: isUrgent ? 'urgent' : 'normal', at: this.count, type, message });
  }
}
