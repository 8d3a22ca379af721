/**
 * Leaves of settings that people write by hand: each says what it expects in one phrase, which becomes the middle of a message
 * "<key> must be <phrase>, got <what was written>". A leaf reports a custom issue whose message is that phrase and nothing else.
 */
import { z } from 'zod';

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1000,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** What is wrong with settings that are right one by one. The message goes on after the key: `must not stand beside …`. */
export interface SettingProblem {
  readonly key: readonly (string | number)[];
  readonly message: string;
}

/** A map with these keys and no others; what it says of another is what it knows. */
export function section<T extends z.ZodRawShape>(shape: T): z.ZodObject<T, z.core.$strict> {
  const known = Object.keys(shape).join(', ');
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined) });
}

/** A file or directory, absolute or relative to the config's directory; its meta says `isPath`. */
export function filePath(what: string): z.ZodType<string> {
  return text(what, (value) => value !== '' && !value.includes('\0')).meta({ description: what, type: 'string', isPath: true });
}

/** Both ends included, written as a person would: `{ min: '10ms', max: '1h' }`. */
export interface Bounds {
  readonly min: string;
  readonly max: string;
}

/** A duration with its unit, such as `10ms`, `1.5s`, `5m`, `2h`, `7d`; read as milliseconds. */
export function duration(bounds: Bounds): z.ZodType<number> {
  return measured(durationMs, bounds, 'a duration', `^\\d+(\\.\\d+)?(ms|s|m|h|d)$`);
}

/** A size with its unit, such as `64KiB` (1024) or `1MB` (1000); read as bytes. */
export function size(bounds: Bounds): z.ZodType<number> {
  return measured(sizeBytes, bounds, 'a size', `^\\d+(\\.\\d+)?([kKMGT]?B|[KMGT]iB)$`);
}

/** A whole number; digits in a text will do, because that is what `${ENV}` gives. */
export function wholeNumber({ min, max }: { readonly min: number; readonly max: number }): z.ZodType<number> {
  const expected = `a whole number from ${min} to ${max}`;
  return leaf(expected, { type: 'integer', minimum: min, maximum: max }, (value) => {
    const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max ? number : undefined;
  });
}

/** true or false; the words in a text will do, because that is what `${ENV}` gives. */
export function flag(): z.ZodType<boolean> {
  return leaf('true or false', { type: 'boolean' }, (value) => {
    if (typeof value === 'boolean') return value;
    return value === 'true' ? true : value === 'false' ? false : undefined;
  });
}

/** One of some words. */
export function oneOf<const T extends string>(...words: readonly [T, ...T[]]): z.ZodType<T> {
  const expected = words.length === 1 ? `'${words[0]}'` : `one of ${words.join(', ')}`;
  return leaf(expected, { enum: words }, (value) => words.find((word) => word === value));
}

/** Text that `isGood` accepts; `expected` says which. */
export function text(expected: string, isGood: (text: string) => boolean): z.ZodType<string> {
  return leaf(expected, { type: 'string' }, (value) => (typeof value === 'string' && isGood(value) ? value : undefined));
}

/** A leaf: `read` gives the value, or undefined where it is not what was `expected`. */
export function leaf<T>(expected: string, schema: Record<string, unknown>, read: (value: unknown) => T | undefined): z.ZodType<T> {
  return z
    .unknown()
    .transform((value, context): T => {
      const good = read(value);
      if (good !== undefined) return good;
      context.addIssue({ code: 'custom', message: expected });
      return z.NEVER;
    })
    .meta({ description: expected, ...schema });
}

/** The duration in milliseconds; undefined if it is none. */
export function durationMs(value: string): number | undefined {
  return read(value, /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/, DURATION_MS);
}

/** The size in bytes; undefined if it is none. */
export function sizeBytes(value: string): number | undefined {
  return read(value, /^(\d+(?:\.\d+)?)([kKMGT]?B|[KMGT]iB)$/, SIZE_BYTES);
}

function read(value: string, form: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit = ''] = form.exec(value) ?? [];
  const scale = units[unit];
  return digits === undefined || scale === undefined ? undefined : Math.round(Number(digits) * scale);
}

function measured(parse: (value: string) => number | undefined, { min, max }: Bounds, what: string, pattern: string): z.ZodType<number> {
  const [least, most] = [parse(min), parse(max)];
  if (least === undefined || most === undefined) throw new Error(`bounds need units, got ${min} and ${max}`);
  return leaf(`${what} from ${min} to ${max}`, { type: 'string', pattern }, (value) => {
    const number = typeof value === 'string' ? parse(value) : undefined;
    return number !== undefined && number >= least && number <= most ? number : undefined;
  });
}
