import { asError, FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Lane } from '../../core/lane.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { asFailure } from './write-failure.ts';

/**
 * A writer that is opened by its first write, so that what keeps it from opening (a missing driver, say) is a state of that writer like
 * any other and not of the proxy. It is tried again by every write: a wrong setting is REFUSED, anything else UNAVAILABLE.
 */
export class LateWriter implements Writer {
  readonly #open: () => Promise<Writer>;
  readonly #hide: ((text: string) => string) | undefined;
  /** Shared, because the lanes may write at the same time. */
  #opening: Promise<Writer> | undefined;
  #opened: Writer | undefined;
  readonly #notes = new Map<Lane, string>();
  #isClosed = false;

  /** `hide` takes out of its errors and warnings what must not be shown. */
  constructor(open: () => Promise<Writer>, hide?: (text: string) => string) {
    this.#open = open;
    this.#hide = hide;
  }

  /** Of the writer behind it; nothing is sent before that is known. */
  get resendWindow(): number | undefined {
    return this.#opened?.resendWindow;
  }

  hasBroken(lane: Lane): boolean {
    return this.#opened?.hasBroken?.(lane) ?? false;
  }

  warnings(): readonly string[] {
    const warnings = this.#opened?.warnings?.() ?? [];
    const hide = this.#hide;
    return hide && Array.isArray(warnings) ? warnings.map((text: unknown) => hide(String(text))) : warnings;
  }

  reopen(): void {
    this.#opened?.reopen?.();
  }

  note(lane: Lane): string | undefined {
    return this.#opened?.note?.(lane);
  }

  recall(lane: Lane, note: string): void {
    this.#notes.set(lane, note);
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', 'this writer is closed');
    const hide = this.#hide;
    try {
      const writer = this.#opened ?? (await this.#openWithin(signal));
      await writer.write(batch, signal);
    } catch (error) {
      throw hide ? hidden(asFailure(error), hide) : error;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const writer = await this.#opening?.catch(() => undefined); // what never opened need not be closed
    await writer?.close?.();
  }

  /** An opening that takes longer than the write may is given up, and what comes of it is closed. */
  async #openWithin(signal: AbortSignal): Promise<Writer> {
    this.#opening ??= this.#checked();
    const opening = this.#opening;
    const forget = (): void => {
      if (this.#opening === opening && !this.#opened) this.#opening = undefined;
    };
    try {
      const writer = await orAborted(opening, signal);
      if (this.#opening !== opening) throw new FondacoError('UNAVAILABLE', 'its opening was given up');
      for (const [lane, note] of this.#notes) writer.recall?.(lane, note);
      this.#notes.clear();
      return (this.#opened = writer);
    } catch (error) {
      forget();
      if (signal.aborted) void opening.then(async (late) => this.#opening !== opening && late.close?.()).catch(() => undefined);
      const { message } = asError(error);
      const isWrong = isFondacoError(error, 'CONFIG') || isFondacoError(error, 'REFUSED');
      throw new FondacoError(isWrong ? 'REFUSED' : 'UNAVAILABLE', `the writer cannot be opened: ${message}`, { cause: error });
    }
  }

  async #checked(): Promise<Writer> {
    const writer: unknown = await this.#open();
    if (!isWriter(writer)) throw new FondacoError('CONFIG', 'what opens a writer must give an object with write(batch, signal)');
    const { resendWindow } = writer;
    if (resendWindow === undefined || (Number.isSafeInteger(resendWindow) && resendWindow >= 0)) return writer;
    throw new FondacoError('CONFIG', `the resendWindow of a writer must be a whole number from 0, got ${String(resendWindow)}`);
  }
}

/** Without its cause where that says what is hidden. */
function hidden(error: FondacoError, hide: (text: string) => string): FondacoError {
  const { cause, answer, ...facts } = error.facts;
  const said = cause === undefined ? '' : asError(cause).message;
  return new FondacoError(error.code, hide(error.text), {
    ...facts,
    ...(answer !== undefined && { answer: hide(answer) }),
    ...(hide(said) === said && cause !== undefined && { cause }),
  });
}

/** True for what has the methods of a writer. */
export function isWriter(value: unknown): value is Writer {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Writer>).write === 'function';
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new FondacoError('UNAVAILABLE', 'it takes too long', { cause: signal.reason }));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  return Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', stop));
}
