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

/** The first number in the text, as it is written, that a reader may make another of: an integer beyond 2^53, or beyond what a double holds. */
export function firstUnsafeNumber(text: string): { readonly number: string; readonly isInfinite: boolean } | undefined {
  if (!/\d{16}|[eE]\+?\d{3}/.test(text)) return undefined;
  for (const number of numbersOf(text)) {
    const value = Number(number);
    const isInfinite = !Number.isFinite(value);
    if (isInfinite || (/^-?\d+$/.test(number) && !Number.isSafeInteger(value))) return { number: number.slice(0, 60), isInfinite };
  }
  return undefined;
}

/** True where a number lies beyond what a double holds: some readers make infinity or null of it, others take nothing of the text. */
export function hasInfiniteNumber(text: string): boolean {
  // One after the other: together they are four times as slow.
  if (!/[eE]\+?\d{3}/.test(text) && (text.length < 300 || !/\d{300}/.test(text))) return false;
  for (const number of numbersOf(text)) if (!Number.isFinite(Number(number))) return true;
  return false;
}

function* numbersOf(text: string): Generator<string> {
  for (let at = 0; at < text.length;) {
    if (text[at] === '"') {
      at = skipString(text, at);
      continue;
    }
    NUMBER.lastIndex = at;
    const [number = ''] = NUMBER.exec(text) ?? [];
    if (number !== '') yield number;
    at += Math.max(1, number.length);
  }
}

/** True where objects and arrays lie in each other deeper than `depthMax`; the outermost is 1. */
export function isDeeperThan(depthMax: number, text: string): boolean {
  if (text.length <= 2 * depthMax || !hasMoreOpenings(depthMax, text)) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) at = skipString(text, at) - 1;
    else if (code === 0x7b || code === 0x5b) {
      if (++depth > depthMax) return true;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return false;
}

/** Most texts have few, and a search for them is ten times as fast as a look at each character. */
function hasMoreOpenings(max: number, text: string): boolean {
  let count = 0;
  for (const opening of ['{', '['])
    for (let at = text.indexOf(opening); at >= 0 && count <= max; at = text.indexOf(opening, at + 1)) count++;
  return count > max;
}

/**
 * The first name that an object in the text has twice, and the top-level member in which that is (undefined: at the top itself). JSON leaves
 * open what such an object says (RFC 8259, section 4): readers take the first, the last, both or nothing.
 */
export function firstRepeatedName(text: string): { readonly name: string; readonly within: string | undefined } | undefined {
  /** The names of each object that is open; undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let within: string | undefined;
  for (let at = 0; at < text.length;) {
    const char = text[at];
    if (char === '"') {
      const end = skipString(text, at);
      const names = open.at(-1);
      if (names && text[skipSpace(text, end)] === ':') {
        const name = JSON.parse(text.slice(at, end)) as string;
        if (names.has(name)) return { name, within: open.length === 1 ? undefined : within };
        names.add(name);
        if (open.length === 1) within = name;
      }
      at = end;
      continue;
    }
    if (char === '{') open.push(new Set());
    else if (char === '[') open.push(undefined);
    else if (char === '}' || char === ']') open.pop();
    at++;
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
