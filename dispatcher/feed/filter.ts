/** Which events a writer wants. Stored with its cursor, so that a change is seen. */
import { attributeAt } from '../../core/attribute-path.ts';
import { OBJECT_FIELDS, type EventObject, type FondacoEvent } from '../../core/event.ts';
import { matchesGlob } from '../../core/glob.ts';
import { SEVERITY_NUMBER, type Severity } from '../../core/severity.ts';

/** A text, `*` standing for any characters, or several, any of which will do. Case counts. */
export type Globs = string | readonly string[];

/**
 * What an attribute may be asked: a text (`*` for any characters; a number or a boolean counts as JSON writes it), a number, true or false, a
 * number within bounds (both included), or whether it is there at all. Of a list in the event any item will do.
 */
export type AttributeTest = string | number | boolean | { readonly min?: number; readonly max?: number } | { readonly exists: boolean };

/** In the event's own shape. All that is named must hold; of a list any. What an event has not got, or has empty, matches nothing. */
export interface FilterFields {
  readonly minSeverity?: Severity;
  readonly severity?: Severity | readonly Severity[];
  /** Event types, `*` standing for any characters: `cluster.*`. */
  readonly types?: readonly string[];
  readonly source?: { readonly site?: Globs; readonly node?: Globs; readonly component?: Globs };
  /** The site's labels. */
  readonly labels?: Readonly<Record<string, Globs>>;
  readonly object?: Readonly<Partial<Record<keyof EventObject, Globs>>>;
  /** By path: `disk.name` is the attribute of that name, or `name` in the map `disk`. */
  readonly attributes?: Readonly<Record<string, AttributeTest | readonly AttributeTest[]>>;
}

/**
 * Architecture invariant: two events of one dedup window agree in every field that a filter names, or an event that a writer wants would fold
 * into one that it does not. Type, severity and source are in every key; of what a dedupKey leaves out, `fieldsToKeep` says what has to be
 * put back (core/complete-event.ts); site and labels are the proxy's, and a window ends with them (acceptance/dedup.ts).
 */
export interface Filter extends FilterFields {
  /** An event that matches this, or any of these, is not wanted. */
  readonly not?: FilterFields | readonly FilterFields[];
}

/** What a filter looks at. */
export type FilteredEvent = Pick<FondacoEvent, 'severity' | 'type' | 'source' | 'labels' | 'object' | 'attributes'>;

/** Each star of a pattern may cost a regular expression the length of the text once more. */
const STARS_MAX = 2;

type Matches = (event: FilteredEvent) => boolean;

/** Compiles a filter into its test. */
export function compileFilter(filter: Filter): Matches {
  const wants = compileFields(filter);
  if (filter.not === undefined) return wants;
  const unwanted = listOf(filter.not).map(compileFields);
  return (event) => wants(event) && !unwanted.some((matches) => matches(event));
}

/** Whether two filters say the same, whatever the order of their keys and lists. */
export function isSameFilter(a: Filter, b: Filter): boolean {
  return JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
}

/** The fields a filter names that a dedupKey may leave out: `object.kind`, `attributes.disk.name`. */
export function fieldsToKeep(filter: Filter): string[] {
  const parts: readonly FilterFields[] = [filter, ...(filter.not === undefined ? [] : listOf(filter.not))];
  return parts.flatMap(({ object = {}, attributes = {} }) => [
    ...Object.keys(object).map((field) => `object.${field}`),
    ...Object.keys(attributes).map((path) => `attributes.${path}`),
  ]);
}

function compileFields({ minSeverity, severity, types, source, labels, object, attributes }: FilterFields): Matches {
  const lowest = minSeverity ? SEVERITY_NUMBER[minSeverity] : 0;
  const isType = types && compileTypes(types);
  const basic: Matches = (event) => SEVERITY_NUMBER[event.severity] >= lowest && (!isType || isType(event.type));
  const tests: Matches[] = [];
  if (severity !== undefined) {
    const wanted = new Set(listOf(severity));
    tests.push((event) => wanted.has(event.severity));
  }
  for (const field of ['site', 'node', 'component'] as const) addText(tests, source?.[field], (event) => event.source[field]);
  for (const [name, globs] of entriesOf(labels)) addText(tests, globs, ({ labels: given }) => (given && own(given, name)) as string);
  for (const field of OBJECT_FIELDS) addText(tests, object?.[field], (event) => event.object?.[field]);
  for (const [path, given] of entriesOf(attributes)) {
    const isWanted = compileAttribute(listOf<AttributeTest>(given));
    tests.push((event) => isWanted(attributeAt(event.attributes, path)));
  }
  if (tests.length === 0) return basic;
  return (event) => basic(event) && tests.every((matches) => matches(event));
}

/** Asked of every entry, and so by a regular expression, where none of the patterns can make it slow. */
function compileTypes(types: readonly string[]): (type: string) => boolean {
  if (types.some((glob) => glob.split('*').length > STARS_MAX + 1)) return compileGlobs(types);
  const escaped = types.map((glob) => glob.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '.*'));
  const pattern = new RegExp(`^(?:${escaped.join('|')})$`);
  return (type) => pattern.test(type);
}

function addText(tests: Matches[], globs: Globs | undefined, read: (event: FilteredEvent) => string | undefined): void {
  if (globs === undefined) return;
  const isWanted = compileGlobs(globs);
  tests.push((event) => {
    const text = read(event);
    return text !== undefined && text !== '' && isWanted(text);
  });
}

function compileAttribute(tests: readonly AttributeTest[]): (value: unknown) => boolean {
  const each = tests.map(compileTest);
  return (value) => each.some((isWanted) => isWanted(value) || (Array.isArray(value) && value.some((item) => isWanted(item))));
}

function compileTest(test: AttributeTest): (value: unknown) => boolean {
  if (typeof test === 'string') {
    const isText = compileGlobs(test);
    return (value) => (typeof value === 'string' ? isText(value) : isPlain(value) && isText(JSON.stringify(value)));
  }
  if (typeof test !== 'object') return (value) => value === test;
  if ('exists' in test) return (value) => (value !== undefined) === test.exists;
  const { min = -Infinity, max = Infinity } = test as { min?: number; max?: number };
  return (value) => typeof value === 'number' && value >= min && value <= max;
}

function isPlain(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'boolean';
}

/** True for a text that is what any of the globs says. Takes at most their lengths multiplied, whatever they are. */
function compileGlobs(globs: Globs): (text: string) => boolean {
  const list = listOf(globs);
  const exact = new Set(list.filter((glob) => !glob.includes('*')));
  const patterns = list.filter((glob) => glob.includes('*')).map(compileGlob);
  if (patterns.length === 0) return (text) => exact.has(text);
  return (text) => exact.has(text) || patterns.some((matches) => matches(text));
}

function compileGlob(glob: string): (text: string) => boolean {
  const star = glob.indexOf('*');
  if (glob.includes('*', star + 1)) return (text) => matchesGlob(glob, text);
  const [begins, ends] = [glob.slice(0, star), glob.slice(star + 1)];
  const charsMin = begins.length + ends.length;
  return (text) => text.length >= charsMin && text.startsWith(begins) && text.endsWith(ends);
}

/** One way to write what means the same: keys in order, lists in order and without repeats, of one item just that. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = new Map(value.map((item) => [JSON.stringify(canonical(item)), canonical(item)]));
    const sorted = [...items].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
    return sorted.length === 1 ? sorted[0] : sorted;
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, member]): [string, unknown] => [key, canonical(member)]);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function listOf<T>(given: T | readonly T[]): readonly T[] {
  return Array.isArray(given) ? (given as readonly T[]) : [given as T];
}

function entriesOf<T>(given: Readonly<Record<string, T>> | undefined): [string, T][] {
  return Object.entries(given ?? {});
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}
