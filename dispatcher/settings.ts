import { FondacoError } from '../core/errors.ts';

/** An object of settings from outside, read key by key. What is wrong throws CONFIG: `writers[1].batch.eventsMax must be …, got …`. */
export class Settings {
  readonly #path: string;
  readonly #given: Readonly<Record<string, unknown>>;

  /** `keys`: all that it may have. Nothing given is an empty one. */
  constructor(path: string, given: unknown, keys: readonly string[]) {
    this.#path = path;
    if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
      throw new FondacoError('CONFIG', `${path} must be an object, got ${show(given)}`);
    }
    this.#given = (given as Record<string, unknown> | undefined) ?? {};
    const unknown = Object.keys(this.#given).find((key) => !keys.includes(key));
    if (unknown !== undefined) throw new FondacoError('CONFIG', `${this.#name(unknown)} is unknown, expected any of ${keys.join(', ')}`);
  }

  value(key: string): unknown {
    return this.#given[key];
  }

  inner(key: string, keys: readonly string[]): Settings {
    return new Settings(this.#name(key), this.value(key), keys);
  }

  /** Of an object, or of each object of a list. */
  items(key: string, keys: readonly string[]): Settings[] {
    const value = this.value(key);
    if (!Array.isArray(value)) return [this.inner(key, keys)];
    return value.map((item: unknown, index) => {
      if (item === undefined) throw this.wrong(`${key}[${index}]`, 'an object', item);
      return new Settings(`${this.#name(key)}[${index}]`, item, keys);
    });
  }

  /** Both ends included. */
  whole(key: string, { min, max }: { readonly min: number; readonly max: number }, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
    throw this.wrong(key, `a whole number from ${min} to ${max}`, value);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.wrong(key, 'true or false', value);
  }

  word<T extends string>(key: string, words: readonly T[], fallback?: T): T {
    const value = this.value(key) ?? fallback;
    const word = words.find((each) => each === value);
    if (word !== undefined) return word;
    throw this.wrong(key, `one of ${words.join(', ')}`, value);
  }

  text(key: string, expected: string, form: RegExp, fallback?: string): string {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'string' && form.test(value)) return value;
    throw this.wrong(key, expected, value);
  }

  wrong(key: string, expected: string, got: unknown): FondacoError {
    return new FondacoError('CONFIG', `${this.#name(key)} must be ${expected}, got ${show(got)}`);
  }

  #name(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`;
  }
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
}
