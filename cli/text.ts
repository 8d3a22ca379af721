/** What tables and screens are made of. */
import Table from 'cli-table3';

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
  print(JSON.stringify(value, null, 2));
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
