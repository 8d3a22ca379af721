import { expect } from 'chai';
import { perLane, type PerLane } from '../../core/lane.ts';
import type { Recorder } from '../../recorder/index.ts';
import { until } from './until.ts';

/** A recorder of a test, and the ids of what it was given, in order. */
export class Source {
  readonly recorder: Recorder;
  readonly ids: PerLane<string[]> = perLane(() => []);
  #n = 0;

  constructor(recorder: Recorder) {
    this.recorder = recorder;
  }

  /** Records so many numbered events more, every tenth of them critical. */
  record(count: number): void {
    for (const end = this.#n + count; this.#n < end;) {
      const n = ++this.#n;
      if (n % 10 === 0) this.#keep('urgent', this.recorder.event('test.Critical', 'critical', `critical ${n}`));
      else this.#keep('normal', this.recorder.event('test.Event', 'info', `event ${n}`, { attributes: { n } }));
    }
  }

  /** As many as `record`, settled by the proxy when it resolves. */
  async settle(count: number): Promise<void> {
    this.record(count);
    await until('the proxy has settled it', () => this.recorder.status().ledger.settled === this.#n, 20_000);
  }

  #keep(lane: 'urgent' | 'normal', id: string | undefined): void {
    expect(id).to.be.a('string');
    this.ids[lane].push(id!);
  }
}
