/**
 * The frames of RELP version 0 (librelp's doc/relp.html):
 *
 *     TXNR SP COMMAND SP DATALEN [SP DATA] LF
 *
 * TXNR: 1 to 999999999, then 1 again; 0 for what answers nothing (`serverclose`). COMMAND: 1 to 32 letters. DATALEN: octets of DATA, which may
 * hold anything, line feeds too; without any there is no space either.
 */
export interface RelpFrame {
  readonly number: number;
  readonly command: string;
  readonly data: Buffer;
}

export const NUMBER_MAX = 999_999_999;
/** Digits, command, digits and three separators. */
const HEAD_BYTES_MAX = 9 + 32 + 9 + 3;
/** Of an answer: librelp's are a line of text, and offers a few. */
const DATA_BYTES_MAX = 128 * 1024;
const LF = 0x0a;
const SPACE = 0x20;

export function relpFrame(number: number, command: string, data: Buffer): Buffer {
  const head = `${number} ${command} ${data.length}${data.length > 0 ? ' ' : ''}`;
  return Buffer.concat([Buffer.from(head), data, Buffer.from('\n')]);
}

/** Cuts what comes into frames. */
export class RelpReader {
  #rest = Buffer.alloc(0);

  /** The frames that are whole by now. Throws what is wrong with bytes that are no RELP. */
  push(bytes: Buffer): RelpFrame[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const frames: RelpFrame[] = [];
    for (let found = this.#next(); found; found = this.#next()) frames.push(found);
    return frames;
  }

  #next(): RelpFrame | undefined {
    const head = this.#rest.toString('latin1', 0, HEAD_BYTES_MAX);
    const [whole, digits, command, length] = /^(\d{1,9}) ([A-Za-z]{1,32}) (\d{1,9})(?=[ \n])/.exec(head) ?? [];
    if (whole === undefined) {
      const isBeginning = /^(?:\d{1,9}(?: (?:[A-Za-z]{1,32}(?: (?:\d{1,9})?)?)?)?)?$/.test(head);
      if (!isBeginning) throw new Error(`what it says is not RELP: ${JSON.stringify(head.slice(0, 40))}`);
      return undefined;
    }
    const bytes = Number(length);
    if (bytes > DATA_BYTES_MAX) throw new Error(`an answer must have at most ${DATA_BYTES_MAX} bytes, got ${bytes}`);
    const hasSpace = this.#rest[whole.length] === SPACE;
    // librelp has written a space before no data, too.
    const start = whole.length + (hasSpace ? 1 : 0);
    const end = start + bytes;
    if (this.#rest.length <= end) return undefined;
    if (this.#rest[end] !== LF) throw new Error(`a frame must end with a line feed after ${bytes} bytes`);
    const data = Buffer.from(this.#rest.subarray(start, end));
    this.#rest = this.#rest.subarray(end + 1);
    return { number: Number(digits), command: command!, data };
  }
}
