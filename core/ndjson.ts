/** NDJSON, split on \n by hand: readline splits on U+2028 too, which is a character like any other in JSON text. */
import { isUtf8 } from 'node:buffer';

/** A line of input, or why it cannot be one. Numbers begin at 1. */
export interface Line {
  readonly number: number;
  readonly text: string;
  readonly problem?: string;
  /** Bytes of input up to its end. */
  readonly end: number;
}

/** No event is larger as text: 64 KiB of it escaped throughout. */
const LINE_BYTES_MAX = 512 * 1024;
const NEWLINE = 0x0a;

/** The lines of a stream of bytes that are not blank. What is longer than a line may be (`lineBytesMax`) is passed over, not kept. */
export async function* readLines(input: AsyncIterable<Buffer> | Iterable<Buffer>, lineBytesMax = LINE_BYTES_MAX): AsyncGenerator<Line> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let number = 0;
  let end = 0;
  const take = (part: Buffer): void => {
    heldBytes += part.length;
    if (heldBytes <= lineBytesMax) held.push(part);
    else held = [];
  };
  const line = (): Line | undefined => {
    const bytes = Buffer.concat(held);
    const length = heldBytes;
    held = [];
    heldBytes = 0;
    number++;
    if (length > lineBytesMax) return { number, text: '', problem: `a line must be at most ${lineBytesMax} bytes, got ${length}`, end };
    if (!isUtf8(bytes)) return { number, text: '', problem: 'a line must be UTF-8, got other bytes', end };
    const text = bytes.toString('utf8');
    const unmarked = number === 1 && text.startsWith('\ufeff') ? text.slice(1) : text; // a byte order mark
    return /^[\t\r ]*$/.test(unmarked) ? undefined : { number, text: unmarked, end };
  };
  for await (const chunk of input) {
    let at = 0;
    for (let found = chunk.indexOf(NEWLINE); found >= 0; found = chunk.indexOf(NEWLINE, at)) {
      take(chunk.subarray(at, found));
      end += found + 1 - at;
      at = found + 1;
      const made = line();
      if (made) yield made;
    }
    take(chunk.subarray(at));
    end += chunk.length - at;
  }
  if (heldBytes === 0) return;
  const last = line();
  if (last) yield last;
}
