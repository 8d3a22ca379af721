import type { Collector, CollectorParts, RecordEvent } from '../../demo/collectors/collector.ts';
import { FakeClock } from './fake-clock.ts';

/** What a collector recorded. */
export interface Told {
  readonly type: string;
  readonly severity: string;
  readonly message: string;
  readonly name: string | undefined;
}

/** A collector at work under a clock that a test moves. */
export class Collecting {
  readonly clock = new FakeClock();
  readonly told: Told[] = [];
  readonly parts: CollectorParts;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(intervalMs = 500) {
    const record: RecordEvent = (type, severity, message, details) => {
      this.told.push({ type, severity, message, name: details?.object?.name });
    };
    this.parts = { record, clock: this.clock, intervalMs };
  }

  start(collector: Collector): void {
    this.#running = collector.run(this.parts, this.#stop.signal);
  }

  /** One more look; what was recorded since the last one, as `type name`. */
  async look(): Promise<string[]> {
    const before = this.told.length;
    await this.clock.advance(this.parts.intervalMs);
    return this.told.slice(before).map(({ type, name = '' }) => `${type} ${name}`.trim());
  }

  /** Ends it; rejects with what the collector rejected with. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}
