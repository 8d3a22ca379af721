/** The `filter` of a writer as a config, a file or a command line has it (dispatcher/feed/filter.ts says what it means). */
import { z } from 'zod';
import { OBJECT_FIELDS } from '../core/event.ts';
import { SEVERITIES, type Severity } from '../core/severity.ts';
import type { AttributeTest, Filter } from '../dispatcher/feed/filter.ts';
import { leaf, oneOf, section, text } from '../writers/settings.ts';

const LIST_MAX = 100;
const PATH_CHARS_MAX = 256;
const TEST = 'a text with * for any characters, a number, true or false, { min, max } or { exists: true }';

const severity = (): z.ZodType<Severity> => oneOf(...(SEVERITIES as readonly [Severity, ...Severity[]]));
const glob = (): z.ZodType<string> => text('a text of 1 to 1024 characters, * for any', (value) => value !== '' && value.length <= 1024);
const globs = (): z.ZodType<readonly string[]> => oneOrMore('a text or', glob());

const attribute = (): z.ZodType<AttributeTest> =>
  leaf(TEST, { anyOf: [{ type: ['string', 'number', 'boolean'] }, boundsSchema(), existsSchema()] }, attributeTest);

/** All but `not`. */
const fields = {
  minSeverity: severity().optional(),
  severity: oneOrMore('a severity or', severity()).optional(),
  types: z
    .array(text("an event type or a pattern such as 'cluster.*'", (value) => /^[A-Za-z0-9_.*-]{1,128}$/.test(value)))
    .min(1)
    .max(LIST_MAX)
    .optional(),
  source: named(section({ site: globs().optional(), node: globs().optional(), component: globs().optional() })).optional(),
  /** The site's. */
  labels: named(
    z.record(
      text('a label name of 1 to 63 characters', (value) => value !== '' && value.length <= 63),
      globs(),
    ),
  ).optional(),
  object: named(section(Object.fromEntries(OBJECT_FIELDS.map((field) => [field, globs().optional()])))).optional(),
  /** By path, `disk.name`. */
  attributes: named(
    z.record(
      text(`a path of 1 to ${PATH_CHARS_MAX} characters`, (value) => value !== '' && value.length <= PATH_CHARS_MAX),
      oneOrMore('one of these or', attribute()),
    ),
  ).optional(),
};

/** Which events a writer gets. */
export const filterSchema = section({
  ...fields,
  /** What matches this, or any of these, does not come. */
  not: oneOrMore('a filter or', named(section(fields))).optional(),
});

/** The filter as feeds take it. */
export function filterOf(settings: z.output<typeof filterSchema>): Filter {
  return JSON.parse(JSON.stringify(settings)) as Filter; // without what is undefined
}

/** A map in which something must be named: an empty one is a mistake, and in `not` it would match everything. */
function named<T extends z.ZodType<object>>(schema: T): T {
  return schema.refine((value) => Object.values(value).some((member) => member !== undefined), {
    error: 'a map with something in it',
    when: ({ issues }) => issues.length === 0, // else it was said
  });
}

/** One, or a list of 1 to 100 of them; read as a list. What is wrong is said where it stands. */
function oneOrMore<T>(lead: string, item: z.ZodType<T>): z.ZodType<readonly T[]> {
  const expected = `${lead} a list of 1 to ${LIST_MAX}`;
  const { $schema: _draft, ...one } = z.toJSONSchema(item, { io: 'input', unrepresentable: 'any' });
  return z
    .unknown()
    .transform((value, context): readonly T[] => {
      const isList = Array.isArray(value);
      const given: readonly unknown[] = isList ? value : [value];
      if (given.length < 1 || given.length > LIST_MAX) context.addIssue({ code: 'custom', message: expected });
      return given.slice(0, LIST_MAX).flatMap((each, index) => {
        const parsed = item.safeParse(each);
        if (parsed.success) return [parsed.data];
        for (const issue of parsed.error.issues) context.addIssue({ ...issue, path: [...(isList ? [index] : []), ...issue.path] });
        return [];
      });
    })
    .meta({ description: expected, anyOf: [one, { type: 'array', items: one, minItems: 1, maxItems: LIST_MAX }] });
}

function attributeTest(value: unknown): AttributeTest | undefined {
  if (typeof value === 'string') return value.length <= 1024 ? value : undefined;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { exists, min, max, ...others } = value as Readonly<Record<string, unknown>>;
  if (Object.keys(others).length > 0) return undefined;
  if (exists !== undefined) return typeof exists === 'boolean' && min === undefined && max === undefined ? { exists } : undefined;
  const [least, most] = [numberOf(min), numberOf(max)];
  if ((least ?? most) === undefined || least === null || most === null) return undefined;
  return { ...(least !== undefined && { min: least }), ...(most !== undefined && { max: most }) };
}

/** A bound; digits in a text will do, because that is what `${ENV}` gives. Undefined for none, null for what is no number. */
function numberOf(value: unknown): number | undefined | null {
  if (value === undefined) return undefined;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

function boundsSchema(): object {
  const properties = { min: { type: 'number' }, max: { type: 'number' } };
  return { type: 'object', properties, minProperties: 1, additionalProperties: false };
}

function existsSchema(): object {
  return { type: 'object', properties: { exists: { type: 'boolean' } }, required: ['exists'], additionalProperties: false };
}
