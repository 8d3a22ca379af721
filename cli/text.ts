/** What tables and screens are made of. */
import { stripVTControlCharacters, styleText } from 'node:util';
import Table from 'cli-table3';
import { HIDDEN } from '../writers/console-line.ts';

/** Columns under a heading, without lines or colours, so that `awk` can read them too. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], rightFrom = head.length): string {
  const blank = Object.fromEntries(EDGES.map((edge) => [edge, '']));
  const made = new Table({
    head: [...head],
    chars: { ...blank, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: head.map((_, column) => (column >= rightFrom ? 'right' : 'left')),
  });
  for (const row of rows) made.push([...row]);
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** `12,345`. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `3 d 4 h`, `5 m 3 s`, `0.4 s`: two units at most. */
export function age(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/** Lines to stdout. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** JSON for `--json`. */
export function printJson(value: unknown): void {
  print(terminalJson(JSON.stringify(value, null, 2)));
}

/** The same JSON in a form that a terminal can take: hidden characters, which can only be within strings, as escapes. As it is for a pipe. */
export function terminalJson(json: string, isTerminal = process.stdout.isTTY): string {
  return isTerminal ? json.replace(HIDDEN, (char) => (/[\t\n\r]/.test(char) ? char : escaped(char))) : json;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

export type Style = Parameters<typeof styleText>[0];

/** Colours text on a terminal that has colours and no NO_COLOR (no-color.org); leaves it alone anywhere else. */
export function paint(style: Style, text: string, stream: Screen = process.stdout): string {
  return isColored(stream) ? styleText(style, text, { validateStream: false }) : text;
}

/** A terminal, or what stands for one. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  hasColors?(): boolean;
}

export function isColored(stream: Screen = process.stdout, env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return stream.isTTY === true && (env.NO_COLOR ?? '') === '' && (stream.hasColors?.() ?? true);
}

/** `1.5 GiB`, `640 B`: one decimal at most. */
export function bytes(value: number): string {
  const power = value < 1024 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), UNITS.length - 1);
  return `${Number((value / 1024 ** power).toFixed(1))} ${UNITS[power]}`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `1 event`, `2 events`. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : many}`;
}

/** Cut to `columns` with an ellipsis, colours lost if it must be cut; Infinity leaves it as it is. For text without hidden characters but ours. */
export function cut(painted: string, columns: number): string {
  const text = stripVTControlCharacters(painted);
  let width = 0;
  let fits = '';
  for (const { segment } of GRAPHEMES.segment(text)) {
    width += WIDE.test(segment) ? 2 : 1;
    if (width > columns) return `${fits}…`;
    if (width < columns) fits += segment; // leaves room for the ellipsis
  }
  return painted;
}

const GRAPHEMES = new Intl.Segmenter();
/** Takes two columns: emoji, and what Unicode calls East Asian wide, near enough. */
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{20000}-\u{3FFFD}]/u;

/** Columns for text on stdout: of the terminal, 80 where it does not know; without end off a terminal. */
export function screenColumns({ isTTY, columns = 0 }: Screen = process.stdout): number {
  return isTTY !== true ? Infinity : columns > 0 ? columns : 80;
}

/** Rows, in the same way; 24 where the terminal does not know. */
export function screenRows({ isTTY, rows = 0 }: Screen): number {
  return isTTY !== true ? Infinity : rows > 0 ? rows : 24;
}

const EDGES = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
  'left',
  'left-mid',
  'mid',
  'mid-mid',
  'right',
  'right-mid',
];
