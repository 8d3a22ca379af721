import type { Recorder } from '../../../recorder/index.ts';
import { pause } from '../../support/pause.ts';

const TEXT = 'x'.repeat(8000);
const PER_MIB = 128;
const MEMORY_BYTES = 6 * 1024 * 1024;
/** Of so many events one is critical. */
const CRITICAL_ONE_IN = 20;

type Chosen = 'critical' | 'info';

/** A recorder, and what was recorded with it. */
export class Source {
  readonly recorder: Recorder;
  /** By id; what was recorded is confirmed: what is dropped must be named. */
  readonly recorded = new Map<string, Chosen>();

  readonly #series = { critical: '', info: '' };
  readonly #counts = { critical: 0, info: 0 };

  constructor(recorder: Recorder) {
    this.recorder = recorder;
  }

  /** Everything was settled, or declared lost. */
  get isDone(): boolean {
    const { settled, dropped, recorded } = this.recorder.status().ledger;
    return settled + dropped === recorded;
  }

  /** So many MiB, one event in 20 critical. `isPatient`: waits while memory is more than a third full, so that nothing is dropped. */
  async record(mib: number, { isPatient = true, severity = undefined as Chosen | undefined } = {}): Promise<void> {
    for (let n = 1; n <= mib * PER_MIB; n++) {
      const chosen = severity ?? (n % CRITICAL_ONE_IN === 0 ? 'critical' : 'info');
      const id = this.recorder.event('a.B', chosen, `${this.recorded.size} ${TEXT}`);
      this.recorded.set(id ?? this.#idOfDropped(chosen), chosen);
      this.#counts[chosen]++;
      if (id !== undefined) this.#series[chosen] = id.slice(0, id.lastIndexOf('-'));
      if (n % 16 === 0) await pause(0);
      while (isPatient && this.recorder.status().memoryBytes > MEMORY_BYTES) await pause(2);
    }
  }

  /** One that was dropped at once has a number all the same. */
  #idOfDropped(severity: Chosen): string {
    return `${this.#series[severity]}-${this.#counts[severity] + 1}`;
  }
}
