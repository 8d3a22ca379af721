/** What verbs take as arguments, checked while the command line is read: a mistake exits 64 and says what was expected. */
import { InvalidArgumentError, Option } from 'commander';
import { LANES } from '../../core/lane.ts';
import { SEVERITIES } from '../../core/severity.ts';
import { parseTime } from '../../core/time.ts';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** A moment: RFC 3339, or how long ago, such as `90s`, `15m`, `2h`, `1.5d`, `1w`. Returns RFC 3339. */
export function moment(text: string): string {
  const [, digits, unit = ''] = /^(\d{1,9}(?:\.\d{1,9})?)([smhdw])$/.exec(text) ?? [];
  const agoMs = Number(digits) * (UNIT_MS[unit] ?? NaN);
  const at = new Date(Date.now() - agoMs);
  if (!Number.isNaN(at.getTime()) && at.getUTCFullYear() >= 1) return at.toISOString();
  if (parseTime(text)) return text;
  throw new InvalidArgumentError('It must be a time such as 2026-11-22T08:00:00Z, or how long ago: 90s, 15m, 2h, 7d.');
}

/** The filters of events, as the HTTP surface has them. */
export const eventFilters: readonly Option[] = [
  new Option('-t, --type <pattern>', "an event type, * for any characters: 'cluster.*'"),
  new Option('-s, --min-severity <severity>', 'this or worse').choices(SEVERITIES),
  new Option('--node <name>', 'the machine it is about'),
  new Option('--component <name>', 'the component it is about'),
  new Option('--lane <lane>', 'one of the two lanes').choices(LANES),
];
