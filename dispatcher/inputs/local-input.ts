import { FondacoError } from '../../core/errors.ts';
import { checkCall, type EventDetails } from '../../core/event-input.ts';
import { LANES, perLane, type PerLane } from '../../core/lane.ts';
import { SEVERITY_NUMBER, type Severity } from '../../core/severity.ts';
import { EventBytes } from './event-bytes.ts';
import { InputSeries, type InputOptions } from './input-series.ts';

/** What an input of this process needs. */
export interface LocalInputOptions extends InputOptions {
  /** Of events that name none. */
  readonly component: string;
}

/** Of events whose `record` has not resolved. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
const FULL_MS = 100;

/** Events recorded in this process, under two series of its own; urgent ones wait for no others. */
export class LocalInput {
  readonly #options: LocalInputOptions;
  readonly #series: PerLane<InputSeries>;
  readonly #bytes = new EventBytes();
  #pendingBytes = 0;

  constructor(options: LocalInputOptions) {
    const { accept, journal, refusal, clock, node, component } = options;
    this.#options = options;
    const shared = { accept, journal, refusal, sender: { node, component }, now: clock.now() };
    this.#series = perLane((lane) => new InputSeries({ lane, ...shared }));
  }

  /** See Dispatch.record. */
  async record(type: string, severity: Severity, message: string, details?: EventDetails): Promise<string> {
    const { clock, urgent } = this.#options;
    const fields = checkCall({ type, severity, message, details }, this.#options, clock.now());
    const bytes = this.#bytes.of(fields);
    if (this.#pendingBytes + bytes.length > PENDING_BYTES_MAX) {
      throw new FondacoError('FULL', `at most ${PENDING_BYTES_MAX} bytes of events may wait to be stored`, { retryAfterMs: FULL_MS });
    }
    this.#pendingBytes += bytes.length;
    try {
      const lane = fields.severity >= SEVERITY_NUMBER[urgent] ? 'urgent' : 'normal';
      const { series, first } = await this.#series[lane].take([bytes]);
      return `${series}-${first}`;
    } finally {
      this.#pendingBytes -= bytes.length;
    }
  }

  /** Takes nothing more; resolves when what was taken is answered. */
  async close(): Promise<void> {
    await Promise.all(LANES.map((lane) => this.#series[lane].close()));
  }
}
