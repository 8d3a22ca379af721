/**
 * Where the enums of a .proto file are, and the options on them, read from its tokens: protobufjs says neither the line of anything, nor more
 * than the last value of an option that is repeated. The text has been parsed before, so its syntax is right.
 */
import protobuf from 'protobufjs';

export interface Token {
  readonly text: string;
  readonly isString: boolean;
  /** From 1. */
  readonly line: number;
}

export interface SourceOption {
  /** Without the parentheses and a leading dot: `fondaco.v1.severity`. */
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

export interface SourceValue {
  readonly name: string;
  readonly number: string;
  readonly line: number;
  readonly options: readonly SourceOption[];
}

export interface SourceEnum {
  /** With the messages around it, without the package: `Outer.Types`. */
  readonly path: string;
  readonly isNested: boolean;
  readonly line: number;
  readonly values: readonly SourceValue[];
  readonly options: readonly SourceOption[];
}

export interface SourceImport {
  readonly path: string;
  readonly line: number;
}

/** The tokens of a text, each string as one. */
export function tokensOf(text: string): Token[] {
  const handle = protobuf.tokenize(text, true);
  const tokens: Token[] = [];
  for (let token = handle.next(); token !== null; token = handle.next()) {
    const { line } = handle;
    if (token !== '"' && token !== "'") tokens.push({ text: token, isString: false, line });
    else {
      tokens.push({ text: handle.next() ?? '', isString: true, line });
      handle.next(); // the closing quote
    }
  }
  return tokens;
}

/** What a file imports. */
export function importsOf(tokens: readonly Token[]): SourceImport[] {
  return tokens.flatMap(({ text, isString, line }, at) => {
    if (isString || text !== 'import' || !startsStatement(tokens, at)) return [];
    const path = tokens.slice(at + 1, at + 3).find((token) => token.isString);
    return path ? [{ path: path.text, line }] : [];
  });
}

/** What `syntax` says; `undefined` where a file does not say. */
export function syntaxOf(tokens: readonly Token[]): Token | undefined {
  return tokens[0]?.text === 'syntax' && !tokens[0].isString ? tokens[2] : undefined;
}

/** All enums, in the order of the file. */
export function enumsOf(tokens: readonly Token[]): SourceEnum[] {
  const enums: SourceEnum[] = [];
  /** What each open brace belongs to: the name of a message, or ''. */
  const open: string[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token.isString) continue;
    if (token.text === '}') open.pop();
    if (token.text !== '{') continue;
    const [keyword, name] = [tokens[at - 2], tokens[at - 1]];
    const isNamed = keyword !== undefined && name !== undefined && startsStatement(tokens, at - 2);
    if (isNamed && keyword.text === 'enum') {
      const path = [...open.filter((outer) => outer !== ''), name.text].join('.');
      const reader = new EnumReader(tokens, at + 1);
      enums.push({ path, isNested: open.length > 0, line: name.line, ...reader.read() });
      at = reader.at;
    } else open.push(isNamed && keyword.text === 'message' ? name.text : '');
  }
  return enums;
}

function startsStatement(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1];
  return at === 0 || (before !== undefined && !before.isString && [';', '{', '}'].includes(before.text));
}

/** Reads from behind an enum's `{`; ends at its `}`. */
class EnumReader {
  readonly #tokens: readonly Token[];
  at: number;

  constructor(tokens: readonly Token[], at: number) {
    this.#tokens = tokens;
    this.at = at;
  }

  read(): { values: SourceValue[]; options: SourceOption[] } {
    const values: SourceValue[] = [];
    const options: SourceOption[] = [];
    for (; this.at < this.#tokens.length && !this.#is('}'); this.at++) {
      const { text: name, line } = this.#tokens[this.at]!;
      if (name === ';') continue;
      if (name === 'reserved') this.#skipTo(';');
      else if (name === 'option') {
        this.at++;
        options.push(this.#option());
        this.#skipTo(';');
      } else {
        this.at += 2; // the name and =
        const number = this.#is('-') ? `-${this.#tokens[++this.at]!.text}` : this.#tokens[this.at]!.text;
        this.at++;
        values.push({ name, number, line, options: this.#is('[') ? this.#options() : [] });
        this.#skipTo(';');
      }
    }
    return { values, options };
  }

  /** `[a = 1, b = 2]`; ends at the bracket. */
  #options(): SourceOption[] {
    const options: SourceOption[] = [];
    while (this.at < this.#tokens.length && !this.#is(']')) {
      this.at++;
      options.push(this.#option());
    }
    return options;
  }

  /** `(name).path = value`, to behind the value. */
  #option(): SourceOption {
    const { line } = this.#tokens[this.at]!;
    let name = '';
    for (; this.at < this.#tokens.length && !this.#is('='); this.at++) name += this.#tokens[this.at]!.text;
    this.at++;
    const start = this.at;
    if (this.#is('{')) this.#skipBlock();
    else {
      this.at++;
      // Strings side by side are one; a sign stands before its number.
      while (this.#tokens[this.at]?.isString || this.#tokens[this.at - 1]?.text === '-') this.at++;
    }
    const value = this.#tokens.slice(start, this.at).map(({ text }) => text);
    return { name: name.replace(/^\(\.?([^)]*)\)/, '$1'), value: value.join(''), line };
  }

  #skipBlock(): void {
    let depth = 0;
    do {
      if (this.#is('{')) depth++;
      else if (this.#is('}')) depth--;
      this.at++;
    } while (depth > 0 && this.at < this.#tokens.length);
  }

  #skipTo(text: string): void {
    while (this.at < this.#tokens.length && !this.#is(text)) this.at++;
  }

  #is(text: string): boolean {
    const token = this.#tokens[this.at];
    return token !== undefined && !token.isString && token.text === text;
  }
}
