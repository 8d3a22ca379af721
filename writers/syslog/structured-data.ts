/**
 * Structured data, RFC 5424 section 6.3: `[id name="value" …]`, where `"`, `\` and `]` of a value have a backslash before them.
 *
 * There is no escape for control characters, and none may be in a message: they end a frame, and servers replace them each in their own way. So
 * a value that has some is shown with them as JSON escapes, and given exactly, as JSON text, under its name with `Json` behind it.
 *
 * Names have no dots: syslog-ng makes another element of what is before one.
 */
export type Param = readonly [name: string, value: string];

export interface Element {
  readonly id: string;
  readonly params: readonly Param[];
}

/** Behind the name of a value that is given as JSON text. */
export const EXACT = 'Json';

const SPECIAL = /["\\\]]/g;
const CONTROL = /\p{Cc}/gu;

export function formatElement({ id, params }: Element): string {
  let text = `[${id}`;
  for (const [name, value] of params) text += ` ${name}="${escapeValue(value)}"`;
  return `${text}]`;
}

/** Params of a text: two where it has control characters. */
export function paramsOf(name: string, text: string): Param[] {
  return hasControl(text)
    ? [
        [name, visible(text)],
        [name + EXACT, exact(text)],
      ]
    : [[name, text]];
}

export function hasControl(text: string): boolean {
  return text.search(CONTROL) >= 0;
}

/** Control characters as JSON escapes, the rest as it is: for people, not to be read back. */
export function visible(text: string): string {
  return hasControl(text) ? text.replace(CONTROL, (char) => withoutControls(JSON.stringify(char)).slice(1, -1)) : text;
}

/** JSON text of a text, without control characters; JSON itself leaves DEL and C1 as they are. */
export function exact(text: string): string {
  return withoutControls(JSON.stringify(text));
}

function withoutControls(json: string): string {
  return json.replace(CONTROL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function escapeValue(value: string): string {
  return value.replace(SPECIAL, '\\$&');
}

/**
 * Reads elements at the beginning of a text, or the nil value `-`; what is behind them is left. A backslash before another character than the
 * three is itself (RFC 5424 section 6.3.3). Undefined where it is neither.
 */
export function parseElements(text: string): { elements: Element[]; end: number } | undefined {
  if (text.startsWith('-')) return { elements: [], end: 1 };
  const elements: Element[] = [];
  let at = 0;
  while (text[at] === '[') {
    const found = parseElement(text, at);
    if (!found) return undefined;
    elements.push(found.element);
    at = found.end;
  }
  return elements.length > 0 ? { elements, end: at } : undefined;
}

const SD_NAME = /[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}/y;
/** A backslash takes whatever follows with it. */
const PARAM = / ([\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32})="((?:[^"\\\]]|\\[^])*)"/y;

function parseElement(text: string, start: number): { element: Element; end: number } | undefined {
  SD_NAME.lastIndex = start + 1;
  const id = SD_NAME.exec(text)?.[0];
  if (id === undefined) return undefined;
  let at = start + 1 + id.length;
  const params: Param[] = [];
  while (text[at] === ' ') {
    PARAM.lastIndex = at;
    const [whole, name, value] = PARAM.exec(text) ?? [];
    if (whole === undefined) return undefined;
    params.push([name!, value!.replace(/\\(["\\\]])/g, '$1')]);
    at += whole.length;
  }
  return text[at] === ']' ? { element: { id, params }, end: at + 1 } : undefined;
}
