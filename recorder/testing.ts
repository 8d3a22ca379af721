/// <reference types="node" preserve="true" />
/** `fondaco/testing`: a recorder that keeps events in memory, for the tests of programs that record. No disk, no network, no waiting. */
import { systemClock, type Clock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import { decodeEvent, encodeEvent } from '../core/event-codec.ts';
import { checkCall, type EventDetails, type EventFields } from '../core/event-input.ts';
import type { FondacoEvent } from '../core/event.ts';
import type { Lane } from '../core/lane.ts';
import { ProtobufWriter } from '../core/protobuf.ts';
import type { Severity } from '../core/severity.ts';
import { uuidV7 } from '../core/uuid.ts';
import { checkOptions, type RecorderOptions, type RecorderSettings } from './options.ts';
import { recorder, type StandIn } from './process-wide.ts';
import type { Recorded } from './recorder.ts';
import { asRejected, Reports } from './host-reports.ts';
import type { RecorderLedger, RecorderStatus } from './status.ts';
import type { DurableLevel } from './waiters.ts';

/** An event as a proxy would take it over. */
export type TestEvent = Pick<
  FondacoEvent,
  'id' | 'type' | 'severity' | 'time' | 'message' | 'source' | 'object' | 'attributes' | 'traceparent'
> & {
  readonly lane: Lane;
  readonly dedupKey?: string;
};

/** What the site is made to look like. */
export interface MemoryRecorderState {
  /** What `record()` resolves with: `proxy`, or `spool` as while the proxy is away. */
  level: DurableLevel;
  /**
   * FULL: events are dropped, as with memory and spool full. UNAVAILABLE: they are kept, and `record()` and `flush()` reject, as without a proxy and a
   * spool. `undefined`: all is well.
   */
  fails: 'FULL' | 'UNAVAILABLE' | undefined;
}

const EVENTS_MAX = 100_000;

/**
 * Checks calls as the real recorder does, and keeps what passes. A mistake in a call is thrown (`strict`), unless `open` says otherwise.
 * Holds 100,000 events at most; further ones are dropped as FULL, until clear().
 */
export class MemoryRecorder implements StandIn, MemoryRecorderState {
  /** What was recorded, in the order of the calls. */
  readonly events: TestEvent[] = [];
  level: DurableLevel = 'proxy';
  fails: MemoryRecorderState['fails'];
  #settings: RecorderSettings;
  readonly #clock: Clock;
  readonly #series = { urgent: '', normal: '' };
  readonly #lasts = { urgent: 0, normal: 0 };
  readonly #counts = { settled: 0, dropped: 0, rejected: 0 };
  #reports: Reports;
  #isClosed = false;

  /** Rejects nothing but wrong options: CONFIG, thrown. */
  constructor(options: Partial<RecorderOptions> = {}, { clock = systemClock() }: { clock?: Clock } = {}) {
    this.#settings = settingsOf(options);
    this.#clock = clock;
    this.#reports = new Reports(this.#settings.onError, clock);
    this.#series.urgent = uuidV7(clock.now());
    this.#series.normal = uuidV7(clock.now());
  }

  /** Takes the options of the program under test: throws CONFIG where the real one would reject. Opens nothing. */
  open(options: RecorderOptions): Promise<void> {
    return promised(() => {
      checkOptions(options, {}); // without our defaults: what is missing is missing
      this.#settings = settingsOf(options);
      this.#reports = new Reports(this.#settings.onError, this.#clock);
    });
  }

  /** See Recorder.event. */
  event(type: string, severity: Severity | undefined, message: string, details?: EventDetails): string | undefined {
    try {
      return this.#keep(this.#check(type, severity, message, details));
    } catch (thrown) {
      const error = asRejected(thrown);
      if (this.#settings.strict && error.code === 'REJECTED') throw error;
      this.#reports.report(error);
      return undefined;
    }
  }

  /** See Recorder.record. Resolves at once with `level`. */
  record(type: string, severity: Severity | undefined, message: string, details?: EventDetails, signal?: AbortSignal): Promise<Recorded> {
    return promised(() => {
      const id = this.#keep(this.#check(type, severity, message, details));
      if (signal?.aborted) throw new FondacoError('UNAVAILABLE', 'the event must be durable, got an abort', { cause: signal.reason });
      this.#assertAvailable();
      return { id, level: this.level };
    });
  }

  flush(): Promise<void> {
    return promised(() => this.#assertAvailable());
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  /** Balances as the real one's does. */
  status(): RecorderStatus {
    const { settled, dropped, rejected } = this.#counts;
    const ledger: RecorderLedger = { recorded: settled + dropped + rejected, settled, spooled: 0, queued: 0, dropped, rejected };
    const lanes = { urgent: this.#laneLedger('urgent'), normal: this.#laneLedger('normal') };
    return {
      state: this.#isClosed ? 'closed' : 'connected',
      proxy: 'memory',
      ledger,
      lanes,
      older: { lives: 0, events: 0, settled: 0 },
      memoryBytes: 0,
      spool: { directory: undefined, bytes: 0 },
      lastError: this.#reports.last?.message,
    };
  }

  /** The events of a type, in order. */
  ofType(type: string): TestEvent[] {
    return this.events.filter((event) => event.type === type);
  }

  /** Forgets the events; ids go on. */
  clear(): void {
    this.events.length = 0;
  }

  #check(type: unknown, severity: unknown, message: unknown, details: unknown): EventFields {
    if (this.#isClosed) {
      this.#counts.dropped++;
      throw new FondacoError('FULL', 'the recorder must be open, got an event after its close: it was dropped');
    }
    try {
      return checkCall({ type, severity, message, details }, this.#settings, this.#clock.now());
    } catch (error) {
      this.#counts.rejected++;
      throw error;
    }
  }

  #keep(fields: EventFields): string {
    if (this.fails === 'FULL' || this.events.length >= EVENTS_MAX) {
      this.#counts.dropped++;
      throw new FondacoError('FULL', 'memory must have room, got none: the event was dropped, and its loss declared');
    }
    const lane = fields.severity >= this.#settings.urgentFrom ? 'urgent' : 'normal';
    const id = `${this.#series[lane]}-${++this.#lasts[lane]}`;
    this.events.push(testEvent(fields, id, lane));
    this.#counts.settled++;
    return id;
  }

  #assertAvailable(): void {
    if (this.fails !== 'UNAVAILABLE') return;
    throw new FondacoError('UNAVAILABLE', 'the event must be durable within 10000 ms, got neither a proxy nor a spool');
  }

  #laneLedger(lane: Lane): RecorderLedger {
    const recorded = this.#lasts[lane];
    return { recorded, settled: recorded, spooled: 0, queued: 0, dropped: 0, rejected: 0 };
  }
}

/**
 * Puts a MemoryRecorder in the place of the process-wide `recorder`, for all modules that use it, until `restore()`. The program under test may
 * `open()` and `close()` it as always.
 *
 *     const memory = recordInMemory();
 *     await startMyProgram();
 *     assert.equal(memory.ofType('disk.Full').length, 1);
 *     memory.restore();
 */
export function recordInMemory(options: Partial<RecorderOptions> = {}): MemoryRecorder & { restore(): void } {
  const memory = new MemoryRecorder(options);
  const restore = recorder.substitute(memory);
  return Object.assign(memory, { restore });
}

function settingsOf(options: Partial<RecorderOptions>): RecorderSettings {
  return checkOptions({ component: 'test', node: 'test', strict: true, ...options, spool: false }, {});
}

/** As it would be read from a proxy's journal: through its bytes. */
function testEvent(fields: EventFields, id: string, lane: Lane): TestEvent {
  const writer = new ProtobufWriter(256);
  encodeEvent(writer, fields);
  const event = decodeEvent(Buffer.from(writer.view()), { id, site: '', labels: undefined, receivedTime: '' });
  const { type, severity, time, message, object, attributes, traceparent } = event;
  const { node, component } = event.source;
  return {
    id,
    type,
    severity,
    time,
    message,
    source: { node, component },
    ...(object && { object }),
    attributes,
    ...(traceparent !== undefined && { traceparent }),
    ...(fields.dedupKey !== '' && { dedupKey: fields.dedupKey }),
    lane,
  };
}

function promised<T>(run: () => T): Promise<T> {
  return new Promise((resolve) => resolve(run()));
}
