/** Events for people on a terminal, one readable line each; NDJSON (the native JSON) anywhere else. */
import type { Writable } from 'node:stream';
import { styleText } from 'node:util';
import { z } from 'zod';
import type { DecodedEvent } from '../core/event-codec.ts';
import { asError, FondacoError } from '../core/errors.ts';
import type { Severity } from '../core/severity.ts';
import type { Delivery, Writer } from '../core/writer.ts';
import { nativeJson } from './native-json.ts';
import { oneOf } from './settings.ts';

export const consoleSettings = z.strictObject({
  /** auto: lines for people on a terminal, NDJSON off it. */
  format: oneOf('auto', 'text', 'json').default('auto'),
});

export type ConsoleSettings = z.output<typeof consoleSettings>;

/** Where the lines go: process.stdout, or a stand-in for it. */
export interface Terminal extends Writable {
  readonly isTTY?: boolean;
  /** As tty.WriteStream has it; it looks at NO_COLOR too. */
  hasColors?(): boolean;
}

export interface ConsoleParts {
  readonly stream: Terminal;
  /** For NO_COLOR (no-color.org). */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export class ConsoleWriter implements Writer {
  readonly #stream: Terminal;
  readonly #line: (delivery: Delivery) => string;
  /** What ended the stream. A stream that has failed does not come back. */
  #failure: Error | undefined;
  #isClosed = false;

  static async open(settings: ConsoleSettings, parts: ConsoleParts): Promise<ConsoleWriter> {
    return new ConsoleWriter(settings, parts);
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

type Color = 'gray' | 'cyan' | 'yellow' | 'red' | 'magenta';

const COLORS: Readonly<Record<Severity, Color>> = { debug: 'gray', info: 'cyan', warn: 'yellow', error: 'red', critical: 'magenta' };

/** `2026-11-22 08:00:00.123  WARN      net.LinkDown  eth0 went down  [Interface/eth0]  ×12  n2/agent  {"speed":1000}`. */
export function consoleLine(event: DecodedEvent, isColored: boolean): string {
  const paint = (color: Color | 'dim' | 'bold', text: string): string =>
    isColored ? styleText(color, text, { validateStream: false }) : text;
  const { object, source } = event;
  const parts = [
    paint('dim', event.time.slice(0, 23).replace('T', ' ').replace(/Z$/, '').padEnd(23)),
    paint(COLORS[event.severity], event.severity.toUpperCase().padEnd(8)),
    paint('bold', event.type),
    visible(event.message),
  ];
  if (object && ((object.kind ?? '') !== '' || (object.name ?? '') !== ''))
    parts.push(visible(`[${object.kind ?? ''}/${object.name ?? ''}]`));
  if (event.revision > 0) parts.push(paint('yellow', `×${event.count}`));
  parts.push(paint('dim', visible(`${source.node}/${source.component}`)));
  if (event.attributesText !== '{}') parts.push(paint('dim', visible(event.attributesText)));
  return parts.join('  ');
}

/**
 * What would move the cursor, change colours, or turn the reading direction: C0 and C1 controls, line and paragraph separators, and
 * the invisible formatting characters (zero width, BOM, bidirectional overrides).
 */
const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\u{AD}\u{61C}\u{200B}-\u{200F}\u{202A}-\u{202E}\u{2060}-\u{206F}\u{FEFF}]/gu;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u{1b}': '\\e' };
/** Joins emoji; moves nothing. */
const JOINER = '\u{200d}';

/** The text with its hidden characters made visible. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (char) => (char === JOINER ? char : (SHORT[char] ?? `\\u{${char.codePointAt(0)?.toString(16) ?? ''}}`)));
}
