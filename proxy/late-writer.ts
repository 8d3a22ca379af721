import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Delivery, Writer } from '../core/writer.ts';

/**
 * A writer that is opened by its first write, so that what keeps it from opening (a missing driver, say) is a state of that writer like
 * any other and not of the proxy. It is tried again by every write: a wrong setting is REFUSED, anything else UNAVAILABLE.
 */
export class LateWriter implements Writer {
  readonly #open: () => Promise<Writer>;
  /** Shared, because the lanes may write at the same time. */
  #writer: Promise<Writer> | undefined;
  #isClosed = false;

  constructor(open: () => Promise<Writer>) {
    this.#open = open;
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', 'this writer is closed');
    const writer = await this.#opened();
    await writer.write(batch, signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const writer = await this.#writer?.catch(() => undefined); // what never opened need not be closed
    await writer?.close?.();
  }

  async #opened(): Promise<Writer> {
    this.#writer ??= this.#open();
    const opening = this.#writer;
    try {
      return await opening;
    } catch (error) {
      if (this.#writer === opening) this.#writer = undefined;
      const { message } = asError(error);
      const isWrong = isFondacoError(error, 'CONFIG') || isFondacoError(error, 'REFUSED');
      throw new FondacoError(isWrong ? 'REFUSED' : 'UNAVAILABLE', `the writer cannot be opened: ${message}`, { cause: error });
    }
  }
}
