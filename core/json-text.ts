/**
 * Looks into JSON text that JSON.parse has already accepted, without making values of it: what JSON.parse makes of `-0.0`
 * or of twenty digits is not what was written.
 */

/** The text of a top-level member of an object, the last of that name (as JSON.parse has it); '' if there is none. */
export function findMember(text: string, name: string): string {
  let found = '';
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text[at] === '"') {
    const keyEnd = skipString(text, at);
    const key = JSON.parse(text.slice(at, keyEnd)) as string;
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = skipValue(text, start);
    if (key === name) found = text.slice(start, end);
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return found;
}

/** The texts of the items of a list; none for anything else. */
export function listItems(text: string): string[] {
  const items: string[] = [];
  let at = skipSpace(text, 0);
  if (text[at] !== '[') return items;
  at = skipSpace(text, at + 1);
  while (at < text.length && text[at] !== ']') {
    const end = skipValue(text, at);
    items.push(text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return items;
}

/** The first number in the text that is written as an integer and lies beyond 2^53, as it is written. */
export function firstUnsafeInteger(text: string): string | undefined {
  if (!/\d{16}/.test(text)) return undefined;
  for (let at = 0; at < text.length;) {
    if (text[at] === '"') {
      at = skipString(text, at);
      continue;
    }
    NUMBER.lastIndex = at;
    const number = NUMBER.exec(text);
    if (!number) {
      at++;
      continue;
    }
    if (/^-?\d+$/.test(number[0]) && !Number.isSafeInteger(Number(number[0]))) return number[0].slice(0, 60);
    at += number[0].length;
  }
  return undefined;
}

const NUMBER = /-?\d+(\.\d+)?([eE][+-]?\d+)?/y;

function skipSpace(text: string, at: number): number {
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

function skipString(text: string, at: number): number {
  for (at++; text[at] !== '"'; at++) {
    if (text[at] === '\\') at++;
    if (at >= text.length) return at;
  }
  return at + 1;
}

function skipValue(text: string, at: number): number {
  let depth = 0;
  while (at < text.length) {
    const char = text[at];
    if (char === '"') {
      at = skipString(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') {
      if (depth === 0) return at; // the end of the object around a bare value
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (char === ',' || char!.charCodeAt(0) <= 0x20)) return at;
    at++;
  }
  return at;
}
