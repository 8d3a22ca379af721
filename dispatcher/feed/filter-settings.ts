/** Filters as programs give them to the dispatcher, checked. The proxy's config has a schema of its own, proxy/config-filter.ts. */
import { OBJECT_FIELDS } from '../../core/event.ts';
import { SEVERITIES } from '../../core/severity.ts';
import type { Settings } from '../settings.ts';
import type { Filter, FilterFields } from './filter.ts';

const FIELDS = ['minSeverity', 'severity', 'types', 'source', 'labels', 'object', 'attributes'];
const GLOBS = 'a text with * for any characters, or a list of such texts';
const ATTRIBUTE = 'a text with * for any characters, a number, true or false, { min, max }, { exists: true or false }, or a list of these';

/** The `filter` of a writer's settings. Throws CONFIG, naming the key, what it must be and what it is. */
export function filterOf(settings: Settings): Filter {
  const filter = settings.inner('filter', [...FIELDS, 'not']);
  const not = filter.value('not');
  if (not === undefined) return fieldsOf(filter);
  const parts = filter.items('not', FIELDS);
  if (parts.length === 0) throw filter.wrong('not', 'a filter, or a list of filters', not);
  return { ...fieldsOf(filter), not: parts.map((part, i) => fieldsNamed(part, filter, Array.isArray(not) ? (not[i] as unknown) : not)) };
}

/** In a `not` something must be named: it would match everything. */
function fieldsNamed(part: Settings, filter: Settings, given: unknown): FilterFields {
  const fields = fieldsOf(part);
  if (Object.keys(fields).length === 0) throw filter.wrong('not', `filters with any of ${FIELDS.join(', ')}`, given);
  return fields;
}

function fieldsOf(filter: Settings): FilterFields {
  const fields: Record<string, unknown> = {};
  if (filter.value('minSeverity') !== undefined) fields.minSeverity = filter.word('minSeverity', SEVERITIES);
  const take = (key: string, expected: string, isGood: (value: unknown) => boolean): void => {
    const value = filter.value(key);
    if (value === undefined) return;
    if (!isGood(value)) throw filter.wrong(key, expected, value);
    fields[key] = structuredClone(value);
  };
  const isSeverity = (value: unknown): boolean => (SEVERITIES as readonly unknown[]).includes(value);
  take('severity', `one of ${SEVERITIES.join(', ')}, or a list of these`, (value) => isOneOrMore(value, isSeverity));
  take('types', "a list of event types or patterns such as 'cluster.*'", (value) => Array.isArray(value) && isOneOrMore(value, isText));
  for (const [key, known] of MAPS) {
    if (filter.value(key) === undefined) continue;
    const map = filter.inner(key, known ?? Object.keys(Object(filter.value(key)) as object));
    const names = Object.keys(filter.value(key) as object).filter((name) => map.value(name) !== undefined);
    if (names.length === 0) throw filter.wrong(key, `an object with at least one of ${known?.join(', ') ?? 'what it may have'}`, {});
    const [expected, isGood] = key === 'attributes' ? [ATTRIBUTE, isAttributeTest] : [GLOBS, isText];
    for (const name of names) if (!isOneOrMore(map.value(name), isGood)) throw map.wrong(name, expected, map.value(name));
    fields[key] = Object.fromEntries(names.map((name) => [name, structuredClone(map.value(name))]));
  }
  return fields;
}

const MAPS: readonly (readonly [key: string, known: readonly string[] | undefined])[] = [
  ['source', ['site', 'node', 'component']],
  ['labels', undefined],
  ['object', OBJECT_FIELDS],
  ['attributes', undefined],
];

function isOneOrMore(value: unknown, isGood: (item: unknown) => boolean): boolean {
  return Array.isArray(value) ? value.length > 0 && value.every(isGood) : isGood(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isAttributeTest(value: unknown): boolean {
  if (typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { exists, min, max, ...others } = value as Readonly<Record<string, unknown>>;
  if (Object.keys(others).length > 0) return false;
  if (exists !== undefined) return typeof exists === 'boolean' && min === undefined && max === undefined;
  const isBound = (bound: unknown): boolean => bound === undefined || (typeof bound === 'number' && Number.isFinite(bound));
  return isBound(min) && isBound(max) && (min !== undefined || max !== undefined);
}
