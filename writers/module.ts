import type { WriterContext } from '../core/define-writer.ts';
import { asError, FondacoError, isFondacoError } from '../core/errors.ts';
import type { Lane } from '../core/lane.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { loadWriter, type ModuleSettings } from './module-settings.ts';

/** A writer that somebody else wrote. What it does wrong stays its own: other writers' events are out of its reach, its bugs are UNAVAILABLE. */
export class ModuleWriter implements Writer {
  readonly #writer: Writer;
  readonly #module: string;
  readonly #parts: WriterContext;
  /** The bug that was logged last. */
  #told = '';

  /** Rejects CONFIG for a module or settings that cannot be used, or with what the module's `open` rejects with. */
  static async open(settings: ModuleSettings, parts: WriterContext): Promise<Writer> {
    const { name, logger, directory } = parts;
    const { definition, value } = await loadWriter(settings, directory);
    const writer: unknown = await definition.open(value, { name, logger, directory });
    if (typeof writer !== 'object' || writer === null || typeof (writer as Partial<Writer>).write !== 'function') {
      throw new FondacoError('CONFIG', `open of module ${settings.module} must give an object with write(batch, signal)`);
    }
    return new ModuleWriter(writer as Writer, settings.module, parts);
  }

  private constructor(writer: Writer, module: string, parts: WriterContext) {
    this.#writer = writer;
    this.#module = module;
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

  reopen(): void {
    try {
      this.#writer.reopen?.();
    } catch (error) {
      this.#tell(error, asError(error).message);
    }
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', 'the write was stopped before it began');
    for (const delivery of batch) freezeDelivery(delivery);
    try {
      await this.#writer.write(batch, signal);
      this.#told = '';
    } catch (error) {
      if (isFondacoError(error) || signal.aborted) throw error;
      const { name, message } = asError(error);
      this.#tell(error, message);
      throw new FondacoError('UNAVAILABLE', `module ${this.#module} threw ${name}: ${message} (its stack is in the proxy's log)`, {
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    await this.#writer.close?.();
  }

  /** Once for each bug in a row, with its stack, which nobody else shows. */
  #tell(err: unknown, message: string): void {
    if (message === this.#told) return;
    this.#told = message;
    this.#parts.logger.error({ err, module: this.#module }, 'the module of a writer threw an error without a code; events are kept');
  }
}

/** Writers share events, and a repeat must have the same bytes: a module that changes one gets a TypeError. */
function freezeDelivery({ event, delivery, entry }: Delivery): void {
  Object.freeze(delivery);
  Object.freeze(entry);
  if (Object.isFrozen(event)) return;
  for (const part of [event.source, event.labels, event.object, event.via, event.foreign, event]) Object.freeze(part);
  // Without recursion: 32 KiB of brackets are deeper than the stack.
  const left: unknown[] = [event.attributes];
  for (let value = left.pop(); value !== undefined; value = left.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    for (const member of Object.values(value)) left.push(member);
    Object.freeze(value);
  }
}
