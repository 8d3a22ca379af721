import type { WriterContext, WriterDefinition } from '../core/define-writer.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import type { Lane } from '../core/lane.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { cutText, shortError } from '../core/short-error.ts';
import { freezeDelivery } from './freeze-delivery.ts';
import { loadWriter, type ModuleSettings } from './module-settings.ts';

/** Of a bug's message, in the error: what is around it has room in the 2 KiB that are kept. */
const SHOWN_BYTES_MAX = 1024;

/** Beside what the writer is told: the name of its module, for people. */
export interface ModuleParts extends WriterContext {
  readonly module: string;
}

/** A writer that somebody else wrote. What it does wrong stays its own: other writers' events are out of its reach, its bugs are UNAVAILABLE. */
export class ModuleWriter implements Writer {
  readonly #writer: Writer;
  readonly #parts: ModuleParts;
  /** The bug that was logged last. */
  #told = '';
  #isClosed = false;

  /** Rejects CONFIG for a module or settings that cannot be used, or with what the module's `open` rejects with. */
  static async open(settings: ModuleSettings, parts: WriterContext): Promise<Writer> {
    const { definition, value } = await loadWriter(settings, parts.directory);
    return ModuleWriter.of(definition, value, { ...parts, module: settings.module });
  }

  /** The same of a module that is loaded, with settings as its schema makes them. */
  static async of(definition: WriterDefinition, value: unknown, parts: ModuleParts): Promise<Writer> {
    const { name, logger, directory, module } = parts;
    const writer: unknown = await definition.open(value, { name, logger, directory });
    if (typeof writer !== 'object' || writer === null || typeof (writer as Partial<Writer>).write !== 'function') {
      throw new FondacoError('CONFIG', `open of module ${module} must give an object with write(batch, signal)`);
    }
    return new ModuleWriter(writer as Writer, parts);
  }

  private constructor(writer: Writer, parts: ModuleParts) {
    this.#writer = writer;
    this.#parts = parts;
  }

  get resendWindow(): number | undefined {
    return this.#writer.resendWindow;
  }

  hasBroken(lane: Lane): boolean {
    return this.#writer.hasBroken?.(lane) ?? false;
  }

  warnings(): readonly string[] {
    return this.#writer.warnings?.() ?? [];
  }

  note(lane: Lane): string | undefined {
    try {
      const note: unknown = this.#writer.note?.(lane);
      return typeof note === 'string' ? note : undefined;
    } catch (error) {
      this.#tell(shortError(error));
      return undefined;
    }
  }

  recall(lane: Lane, note: string): void {
    this.#writer.recall?.(lane, note);
  }

  reopen(): void {
    try {
      this.#writer.reopen?.();
    } catch (error) {
      this.#tell(shortError(error));
    }
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', 'this writer is closed');
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', 'the write was stopped before it began');
    for (const delivery of batch) freezeDelivery(delivery);
    try {
      await this.#writer.write(batch, signal);
      this.#told = '';
    } catch (error) {
      if (isFondacoError(error) || signal.aborted) throw error;
      const short = shortError(error);
      this.#tell(short);
      const what = cutText(`${short.name}: ${short.message}`, SHOWN_BYTES_MAX);
      throw new FondacoError('UNAVAILABLE', `module ${this.#parts.module} threw ${what} (its stack is in the proxy's log)`, {
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writer.close?.();
  }

  /** Once for each bug in a row, with its stack, which nobody else shows. */
  #tell(err: Error): void {
    if (err.message === this.#told) return;
    this.#told = err.message;
    this.#parts.logger.error({ err, module: this.#parts.module }, 'the module of a writer threw an error without a code; events are kept');
  }
}
