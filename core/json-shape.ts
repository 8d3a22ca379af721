/**
 * A strict look over JSON text (RFC 8259) that makes no values of it. It says where text that is none stops being JSON, which JSON.parse says
 * of some mistakes only, and where the members of an array lie, so that each can be read from the very text that came.
 */
export interface JsonShape {
  /** Where the text stops being JSON: its length, if it ends too early. Undefined where it is JSON. */
  readonly fault?: number;
  /** How many members the outermost array has; undefined where the text is no array. */
  readonly count?: number;
  /** Start and end of each of them, one pair after the other; of the first `membersMax`. */
  readonly members: readonly number[];
}

const WORD = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})/y;

/** Looks over `text`. Never throws; takes time and, for nesting, memory in proportion to it. */
export function shapeOfJson(text: string, membersMax = 0): JsonShape {
  return new Look(text, membersMax).shape();
}

class Look {
  readonly #text: string;
  readonly #membersMax: number;
  /** What ends the objects and arrays that are open. */
  readonly #open: string[] = [];
  readonly #members: number[] = [];
  #count = 0;
  #isArray = false;
  #at = 0;
  /** What may come next: a value, or also the end of what was just opened; the name of a member, likewise; what follows a value. */
  #next: 'value' | 'firstValue' | 'name' | 'firstName' | 'rest' = 'value';

  constructor(text: string, membersMax: number) {
    this.#text = text;
    this.#membersMax = membersMax;
  }

  shape(): JsonShape {
    this.#skipSpace();
    this.#isArray = this.#text[this.#at] === '[';
    const members = this.#members;
    while (this.#next !== 'rest' || this.#open.length > 0) {
      if (!this.#step()) return { fault: this.#at, members };
      this.#skipSpace();
    }
    if (this.#at < this.#text.length) return { fault: this.#at, members };
    return { members, ...(this.#isArray && { count: this.#count }) };
  }

  /** Goes over the next token; false, and at the fault, where it may not stand here. */
  #step(): boolean {
    const char = this.#text[this.#at];
    if (this.#next !== 'value' && this.#next !== 'name' && char === this.#open.at(-1)) {
      this.#open.pop();
      this.#at++;
      this.#end();
      return true;
    }
    if (this.#next === 'rest') {
      if (char !== ',') return false;
      this.#at++;
      this.#next = this.#open.at(-1) === '}' ? 'name' : 'value';
      return true;
    }
    return this.#next === 'name' || this.#next === 'firstName' ? this.#name() : this.#value();
  }

  #name(): boolean {
    if (this.#text[this.#at] !== '"' || !this.#string()) return false;
    this.#skipSpace();
    if (this.#text[this.#at] !== ':') return false;
    this.#at++;
    this.#next = 'value';
    return true;
  }

  #value(): boolean {
    if (this.#isArray && this.#open.length === 1 && this.#count++ < this.#membersMax) this.#members.push(this.#at);
    const char = this.#text[this.#at];
    if (char === '{' || char === '[') {
      this.#open.push(char === '{' ? '}' : ']');
      this.#at++;
      this.#next = char === '{' ? 'firstName' : 'firstValue';
      return true;
    }
    if (!(char === '"' ? this.#string() : this.#word())) return false;
    this.#end();
    return true;
  }

  /** A value ends here. */
  #end(): void {
    this.#next = 'rest';
    if (this.#isArray && this.#open.length === 1 && this.#members.length % 2 === 1) this.#members.push(this.#at);
  }

  #word(): boolean {
    WORD.lastIndex = this.#at;
    if (!WORD.test(this.#text)) return false;
    this.#at = WORD.lastIndex;
    return true;
  }

  #string(): boolean {
    const text = this.#text;
    for (let at = this.#at + 1; ; at++) {
      this.#at = at;
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.#at++;
        return true;
      }
      if (at >= text.length || code < 0x20) return false;
      if (code !== 0x5c) continue;
      ESCAPE.lastIndex = at;
      if (!ESCAPE.test(text)) return this.#badEscape(at);
      at = ESCAPE.lastIndex - 1;
    }
  }

  /** Goes to the character of an escape that is at fault. */
  #badEscape(at: number): false {
    const digits = this.#text[at + 1] === 'u' ? /^[0-9A-Fa-f]*/.exec(this.#text.slice(at + 2, at + 6))![0].length + 1 : 0;
    this.#at = at + 1 + digits;
    return false;
  }

  #skipSpace(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    }
  }
}

/** What is wrong at a fault, for people: `got "}" at character 6`, with line and column where there are several lines. Characters begin at 1. */
export function describeFault(text: string, fault: number): string {
  const before = text.slice(0, fault).split('\n');
  const isLong = text.includes('\n');
  const place = `character ${fault + 1}${isLong ? ` (line ${before.length}, column ${before.at(-1)!.length + 1})` : ''}`;
  if (fault >= text.length) return `got its end at ${place}`;
  return `got ${JSON.stringify(String.fromCodePoint(text.codePointAt(fault)!))} at ${place}`;
}
