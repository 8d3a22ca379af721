import { systemClock } from '../core/clock.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import { checkCall, type EventDetails, type EventFields } from '../core/event-input.ts';
import type { Severity } from '../core/severity.ts';
import type { RecorderOptions } from './options.ts';
import { Recorder, type Recorded, type RecorderParts } from './recorder.ts';
import type { RecorderStatus } from './status.ts';

/** Calls before open() that are kept; later ones are dropped and counted. */
const QUEUE_MAX = 1_000;

/** Filled in at open(): what a call before it could not know. */
const UNKNOWN = { node: '', component: '', isEarly: true };

/** What tests put in its place, see testing.ts. */
export interface StandIn extends Pick<Recorder, 'event' | 'record' | 'flush' | 'close' | 'status'> {
  /** Takes what the program opens the recorder with. */
  open(options: RecorderOptions): Promise<void>;
}

/**
 * The recorder of the process: usable before it is opened, at any place in the program. Until open() it keeps 1,000 calls, copied and
 * checked when they are made, and hands them over then.
 */
export class ProcessRecorder {
  #recorder: Recorder | undefined;
  #standIn: StandIn | undefined;
  #opening: Promise<Recorder> | undefined;
  readonly #opened: Promise<Recorder>;
  #resolveOpened!: (recorder: Recorder) => void;
  #queue: EventFields[] = [];
  #mistakes: FondacoError[] = [];
  #dropped = 0;
  /** Calls of record() that wait for the opening. */
  #awaited = 0;
  readonly #clock = systemClock({ unref: true });

  constructor() {
    this.#opened = new Promise((resolve) => (this.#resolveOpened = resolve));
  }

  /** Opens it; see Recorder.open. Rejects CONFIG for wrong options, and if it is open already. */
  async open(options: RecorderOptions, parts?: Partial<RecorderParts>): Promise<void> {
    if (this.#standIn) return this.#standIn.open(options);
    if (this.#opening) throw new FondacoError('CONFIG', 'the recorder of the process must be opened once, got a second open()');
    this.#opening = Recorder.open(options, parts);
    try {
      const recorder = await this.#opening;
      recorder.countRefused(this.#mistakes);
      recorder.takeChecked(this.#queue, this.#dropped);
      this.#recorder = recorder;
      this.#queue = [];
      this.#mistakes = [];
      this.#resolveOpened(recorder);
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }

  /** See Recorder.event. Before open() there is no id yet: `undefined`. */
  event(type: string, severity: Severity | undefined, message: string, details?: EventDetails): string | undefined {
    if (this.#active) return this.#active.event(type, severity, message, details);
    try {
      const fields = checkCall({ type, severity, message, details }, UNKNOWN, this.#clock.now());
      if (this.#queue.length + this.#awaited >= QUEUE_MAX && !this.#giveWay(fields)) this.#dropped++;
      else this.#queue.push(fields);
    } catch (error) {
      // There is nobody yet to tell: reported and counted at open().
      const mistake = isFondacoError(error) ? error : new FondacoError('REJECTED', asError(error).message, { cause: error });
      if (this.#mistakes.length < QUEUE_MAX) this.#mistakes.push(mistake);
      else this.#dropped++;
    }
    return undefined;
  }

  /** The newest call that is less severe than this one is dropped for it. False if there is none. */
  #giveWay({ severity }: EventFields): boolean {
    let at = this.#queue.length - 1;
    while (at >= 0 && this.#queue[at]!.severity >= severity) at--;
    if (at < 0) return false;
    this.#queue.splice(at, 1);
    this.#dropped++;
    return true;
  }

  /** See Recorder.record. Before open() it waits for that, and what it is given is copied now. */
  async record(
    type: string,
    severity: Severity | undefined,
    message: string,
    details?: EventDetails,
    signal?: AbortSignal,
  ): Promise<Recorded> {
    if (this.#active) return this.#active.record(type, severity, message, details, signal);
    if (this.#queue.length + this.#awaited >= QUEUE_MAX) {
      this.#dropped++;
      throw new FondacoError('FULL', `calls before open() must be ${QUEUE_MAX} at most, got more: the event was dropped`);
    }
    const copy = copyOf(details);
    this.#awaited++;
    try {
      await this.#untilOpen(signal);
    } finally {
      this.#awaited--;
    }
    return (await this.#opened).record(type, severity, message, copy, signal);
  }

  /** See Recorder.flush. Before open() it rejects UNAVAILABLE if calls are waiting. */
  async flush(signal?: AbortSignal): Promise<void> {
    if (this.#active) return this.#active.flush(signal);
    if (this.#queue.length > 0) throw new FondacoError('UNAVAILABLE', 'the recorder must be open for a flush, got no open() yet');
  }

  /** See Recorder.close. For good: it is one life of the process. */
  async close(): Promise<void> {
    const recorder = this.#active ?? (await this.#opening);
    await recorder?.close();
  }

  /** See Recorder.status. */
  status(): RecorderStatus {
    if (this.#active) return this.#active.status();
    const ledger = {
      recorded: this.#queue.length + this.#awaited + this.#mistakes.length + this.#dropped,
      settled: 0,
      spooled: 0,
      queued: this.#queue.length + this.#awaited,
      dropped: this.#dropped,
      rejected: this.#mistakes.length,
    };
    const none = { recorded: 0, settled: 0, spooled: 0, queued: 0, dropped: 0, rejected: 0 };
    return {
      state: 'unopened',
      proxy: '',
      ledger,
      lanes: { urgent: none, normal: none },
      older: { lives: 0, events: 0, settled: 0 },
      memoryBytes: 0,
      spool: { directory: undefined, bytes: 0 },
      lastError: this.#mistakes.at(-1)?.message,
    };
  }

  /** For tests: until the result is called, every call goes to the other. What was recorded before stays where it is. */
  substitute(other: StandIn): () => void {
    this.#standIn = other;
    return () => {
      if (this.#standIn === other) this.#standIn = undefined;
    };
  }

  get #active(): Recorder | StandIn | undefined {
    return this.#standIn ?? this.#recorder;
  }

  async #untilOpen(signal: AbortSignal | undefined): Promise<void> {
    const aborted = new Promise<never>((_, reject) => {
      const reason = (): FondacoError =>
        new FondacoError('UNAVAILABLE', 'the recorder must be open, got an abort', { cause: signal?.reason });
      if (signal?.aborted) reject(reason());
      else signal?.addEventListener('abort', () => reject(reason()), { once: true });
    });
    await Promise.race([this.#opened, aborted]);
  }
}

function copyOf(details: EventDetails | undefined): EventDetails | undefined {
  try {
    return structuredClone(details);
  } catch (error) {
    throw new FondacoError('REJECTED', `details must be what JSON can hold, got ${asError(error).message}`, { cause: error });
  }
}

const KEY = Symbol.for('fondaco.recorder/1');
const shared = globalThis as { [KEY]?: ProcessRecorder };

/** The recorder of the process: one, even if two copies of this package are loaded. */
export const recorder: ProcessRecorder = (shared[KEY] ??= new ProcessRecorder());
