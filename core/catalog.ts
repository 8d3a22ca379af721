/**
 * Catalogs: the event types that a program may record, with what each means. An event type is `<catalog>.<name>`, such as
 * `cluster.LeaderElected`; the name of the catalog may have dots, the names of its types have none.
 *
 * Dedup fields say what makes two events of a type the same, beside type, severity and source, which always do: `object`, `message`,
 * `attributes`, or a part of them: `object.name`, `attributes.port` (a member of the outermost object; what follows the first dot is its
 * name, further dots included). None at all (`[]`) means that only type, severity and source count.
 */
import { FondacoError } from './errors.ts';
import { EVENT_TYPE, LIMITS, OBJECT_FIELDS } from './event.ts';
import { SEVERITIES, type Severity } from './severity.ts';

/** What is said of one event type; all of it may be left out. */
export interface TypeDefinition {
  /** Of events that are recorded without one. Where there is none either, a severity has to be given. */
  readonly severity?: Severity;
  /** For people, at most 8 KiB. */
  readonly description?: string;
  /** What makes two events the same for dedup, beside type, severity and source: `object`, `message`, `attributes`, or parts such as `attributes.port`. */
  readonly dedupFields?: readonly string[];
}

/** One event type of a catalog. */
export interface CatalogType<Type extends string = string> {
  /** `cluster.LeaderElected`. */
  readonly type: Type;
  /** `LeaderElected`. */
  readonly name: string;
  readonly severity: Severity | undefined;
  /** '' if there is none. */
  readonly description: string;
  /** `undefined`: object, message and attributes, whole. */
  readonly dedupFields: readonly string[] | undefined;
}

/** Where a catalog keeps what it knows: a symbol, so that it is no name of a type; registered, so that two copies of this package share it. */
export const CATALOG: unique symbol = Symbol.for('fondaco.catalog/1') as never;

/** What a catalog knows. */
export interface CatalogFacts<Type extends string = string> {
  readonly name: string;
  readonly types: readonly CatalogType<Type>[];
}

/** Any catalog with these types. */
export interface Catalog<Type extends string = string> {
  readonly [CATALOG]: CatalogFacts<Type>;
}

type TypeNames<Definitions> = keyof Definitions & string;

/** What `defineCatalog` makes: `catalog.LeaderElected` is the constant `'cluster.LeaderElected'`, as a type, too. */
export type DefinedCatalog<Name extends string, Definitions> = {
  readonly [K in keyof Definitions]: `${Name}.${K & string}`;
} & Catalog<`${Name}.${TypeNames<Definitions>}`>;

/** The event types of a list of catalogs; `string` where the list is empty, or only known when the program runs. */
export type TypesOf<Catalogs extends readonly Catalog[]> = Catalogs extends readonly []
  ? string
  : Catalogs[number][typeof CATALOG]['types'][number]['type'];

export const CATALOG_LIMITS = { types: 10_000, dedupFields: 32 } as const;

const CATALOG_NAME = /^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;
const TYPE_NAME = /^[A-Za-z0-9_-]+$/;
const DEFINITION_KEYS = ['severity', 'description', 'dedupFields'];
/** What names a field of an event that dedup may go by. */
export const DEDUP_FIELD = new RegExp(`^(?:object(?:\\.(?:${OBJECT_FIELDS.join('|')}))?|message|attributes(?:\\..+)?)$`, 's');
export const DEDUP_FIELDS_EXPECTED = `any of object, object.${OBJECT_FIELDS.join(', object.')}, message, attributes, attributes.<name>`;

/**
 * Makes a catalog: a frozen object with a constant for each type. Throws CONFIG for a name, severity or dedup field that is none, with
 * where, expected and got.
 */
export function defineCatalog<const Name extends string, const Definitions extends Readonly<Record<string, TypeDefinition>>>(
  name: Name,
  definitions: Definitions,
): DefinedCatalog<Name, Definitions> {
  if (typeof name !== 'string' || !CATALOG_NAME.test(name)) {
    throw config('the name of a catalog', 'a letter, then letters, digits, _ or -, in parts between dots', name);
  }
  if (!isObject(definitions)) throw config(`catalog ${name}`, 'an object with a member for each event type', definitions);
  const entries = Object.entries(definitions);
  if (entries.length === 0 || entries.length > CATALOG_LIMITS.types) {
    throw config(`catalog ${name}`, `one with 1 to ${CATALOG_LIMITS.types} event types`, entries.length);
  }
  const types = entries.map(([key, definition]) => checkType(name, key, definition));
  // Without a prototype: `constructor` and `toString` are names of types like any other.
  const catalog = Object.create(null) as Record<PropertyKey, unknown>;
  for (const { name: key, type } of types) catalog[key] = type;
  Object.defineProperty(catalog, CATALOG, { value: Object.freeze({ name, types: Object.freeze(types) }) });
  return Object.freeze(catalog) as DefinedCatalog<Name, Definitions>;
}

/** True for what `defineCatalog` made, of any loaded copy of this package. */
export function isCatalog(value: unknown): value is Catalog {
  return typeof value === 'object' && value !== null && CATALOG in value;
}

/** The types of a catalog, in the order of their definition. */
export function catalogTypes<Type extends string>(catalog: Catalog<Type>): readonly CatalogType<Type>[] {
  return catalog[CATALOG].types;
}

/** Why that definition of an event type is none, or `undefined`. */
export function definitionProblem(catalog: string, name: string, definition: unknown): FondacoError | undefined {
  try {
    checkType(catalog, name, definition);
    return undefined;
  } catch (error) {
    return error as FondacoError;
  }
}

function checkType(catalog: string, name: string, definition: unknown): CatalogType {
  const type = `${catalog}.${name}`;
  if (!TYPE_NAME.test(name) || name === '__proto__') throw config(`a name in catalog ${catalog}`, 'letters, digits, _ or -', name);
  if (!EVENT_TYPE.test(type)) throw config('an event type', `at most ${LIMITS.typeChars} characters`, type);
  if (!isObject(definition)) throw config(type, `an object with any of ${DEFINITION_KEYS.join(', ')}`, definition);
  const unknown = Object.keys(definition).find((key) => !DEFINITION_KEYS.includes(key));
  if (unknown !== undefined) throw config(type, `an object with any of ${DEFINITION_KEYS.join(', ')}`, unknown);
  const { severity, description, dedupFields } = definition as { [K in keyof TypeDefinition]: unknown };
  if (severity !== undefined && !SEVERITIES.includes(severity as Severity))
    throw config(`severity of ${type}`, `one of ${SEVERITIES.join(', ')}`, severity);
  return Object.freeze({
    type,
    name,
    severity: severity as Severity | undefined,
    description: checkDescription(type, description),
    dedupFields: checkDedupFields(type, dedupFields),
  });
}

function checkDescription(type: string, description: unknown): string {
  if (description === undefined) return '';
  if (typeof description !== 'string') throw config(`description of ${type}`, 'a text', description);
  const bytes = Buffer.byteLength(description);
  if (bytes > LIMITS.messageBytes) throw config(`description of ${type}`, `at most ${LIMITS.messageBytes} bytes`, bytes);
  return description;
}

function checkDedupFields(type: string, fields: unknown): readonly string[] | undefined {
  if (fields === undefined) return undefined;
  const what = `dedupFields of ${type}`;
  if (!Array.isArray(fields)) throw config(what, `a list with ${DEDUP_FIELDS_EXPECTED}`, fields);
  if (fields.length > CATALOG_LIMITS.dedupFields) throw config(what, `at most ${CATALOG_LIMITS.dedupFields}`, fields.length);
  for (const field of fields as unknown[]) {
    if (field === 'type' || field === 'severity' || field === 'source' || String(field).startsWith('source.'))
      throw config(what, `${DEDUP_FIELDS_EXPECTED} (type, severity and source always count)`, field);
    if (typeof field !== 'string' || !DEDUP_FIELD.test(field) || field.length > LIMITS.nameBytes)
      throw config(what, DEDUP_FIELDS_EXPECTED, field);
  }
  if (new Set(fields).size < fields.length) throw config(what, 'each named once', fields);
  return Object.freeze([...(fields as string[])]);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function config(what: string, expected: string, got: unknown): FondacoError {
  const text =
    got === undefined
      ? 'nothing'
      : (JSON.stringify(got, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)) ?? typeof got);
  return new FondacoError('CONFIG', `${what} must be ${expected}, got ${text.length > 100 ? `${text.slice(0, 100)}…` : text}`);
}
