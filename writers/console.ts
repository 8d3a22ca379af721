/// <reference types="node" preserve="true" />
/** Events for people on a terminal, one readable line each; NDJSON (the native JSON) anywhere else. */
import type { Writable } from 'node:stream';
import { z } from 'zod';
import { asError, FondacoError } from '../core/errors.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { consoleLine } from './console-line.ts';
import { nativeJson } from './native-json.ts';
import { oneOf } from './settings.ts';

/** What a writer of kind `console` may be told. */
export const consoleSettings = z.strictObject({
  /** auto: lines for people on a terminal, NDJSON off it. */
  format: oneOf('auto', 'text', 'json').default('auto'),
});

/** Those settings, checked. */
export type ConsoleSettings = z.output<typeof consoleSettings>;

/** Where the lines go: process.stdout, or a stand-in for it. */
export interface Terminal extends Writable {
  readonly isTTY?: boolean;
  /** As tty.WriteStream has it; it looks at NO_COLOR too. */
  hasColors?(): boolean;
}

/** What a console writer works with; a program that has none of it passes `process.stdout` and `process.env`. */
export interface ConsoleParts {
  readonly stream: Terminal;
  /** For NO_COLOR (no-color.org). */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One line an event. `write` waits for a slow reader, and rejects REFUSED, from then on, when the stream has ended. */
export class ConsoleWriter implements Writer {
  readonly #stream: Terminal;
  readonly #line: (delivery: Delivery) => string;
  /** What ended the stream. A stream that has failed does not come back. */
  #failure: Error | undefined;
  #isClosed = false;

  /** `settings` are what `consoleSettings.parse` gives; without `parts` it writes to the stdout of this process. */
  static async open(settings: ConsoleSettings, parts: Partial<ConsoleParts> = {}): Promise<ConsoleWriter> {
    return new ConsoleWriter(settings, { stream: process.stdout, env: process.env, ...parts });
  }

  private constructor({ format }: ConsoleSettings, { stream, env }: ConsoleParts) {
    this.#stream = stream;
    const isText = format === 'text' || (format === 'auto' && stream.isTTY === true);
    const isColored = stream.isTTY === true && (env.NO_COLOR ?? '') === '' && (stream.hasColors?.() ?? true);
    this.#line = isText ? ({ event }) => consoleLine(event, isColored) : nativeJson;
    stream.on('error', this.#failed);
  }

  /** Resolves when the stream has handed the lines on, so a slow reader of them slows this writer only. */
  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (this.#isClosed) throw new FondacoError('UNAVAILABLE', 'this console writer is closed');
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', 'writing to the console was stopped');
    let text = '';
    for (const delivery of batch) text += this.#line(delivery) + '\n';
    await new Promise<void>((resolve, reject) => {
      const stopped = (): void => reject(new FondacoError('UNAVAILABLE', 'writing to the console was stopped'));
      signal.addEventListener('abort', stopped, { once: true });
      this.#stream.write(text, (error) => {
        signal.removeEventListener('abort', stopped);
        if (error) reject(this.#asOurs(error));
        else resolve();
      });
    });
  }

  /** Leaves the stream open: it is not ours. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // The listener stays: what fails after this would end the process otherwise.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The reader has gone (EPIPE), or the stream is no longer there: only a person can bring it back. */
  #asOurs(error: Error): FondacoError {
    const cause = this.#failure ?? error;
    return new FondacoError('REFUSED', `writing to the console failed: ${cause.message}`, { cause });
  }

  readonly #failed = (error: unknown): void => {
    this.#failure ??= asError(error);
  };
}
