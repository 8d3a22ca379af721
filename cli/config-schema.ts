/** JSON Schema of the config, for editors and generators of configs. */
import { z } from 'zod';
import { configSchema, removedShape, writerShape } from '../proxy/config-schema.ts';
import { WRITER_KINDS, writerKind } from '../proxy/writer-kinds.ts';
import { section } from '../writers/settings.ts';
import { leafKind, writtenForm } from './config-values.ts';
import { printJson } from './text.ts';

type Json = Record<string, unknown>;

/** Prints it; it needs no proxy and no config. */
export async function printConfigSchema(): Promise<void> {
  printJson(await buildConfigSchema());
}

/** The whole schema, with one alternative for each kind of writer. Draft 2020-12. */
export async function buildConfigSchema(): Promise<Json> {
  const schema = toJson(configSchema);
  const kinds = await Promise.all(
    WRITER_KINDS.map(async (kind) => toJson(section({ ...writerShape, ...(await writerKind(kind))?.shape, kind: z.literal(kind) }))),
  );
  const { writers } = schema.properties as { writers: Json };
  // Told apart by `kind`, so that an editor says what is wrong with this kind instead of that none of them fits.
  const { $schema: _draft, ...removed } = toJson(section(removedShape));
  const written = {
    required: ['name', 'kind'],
    properties: { kind: { enum: WRITER_KINDS } },
    allOf: kinds.map((kind, i) => {
      delete kind.$schema;
      return { if: { properties: { kind: { const: WRITER_KINDS[i] } }, required: ['kind'] }, then: kind };
    }),
  };
  writers.items = { type: 'object', if: { required: ['removed'] }, then: removed, else: written };
  const { $schema, ...rest } = schema;
  return {
    $schema,
    title: 'Config of a Fondaco proxy',
    ...rest,
    $defs: { variable: { type: 'string', pattern: '\\$\\{', description: '${ENV} or ${file:/path}, filled in when the config is read' } },
  };
}

function toJson(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => refine(zodSchema, jsonSchema),
  });
}

/** Adds defaults and examples in the form that a person writes, and that a variable may stand for anything that is no free text. */
function refine(zodSchema: z.core.$ZodTypes, json: Json): void {
  const { def } = zodSchema._zod;
  if (def.type === 'default') json.default = writtenForm(def.defaultValue, leafKind(json.pattern ?? patternOf(json)));
  if (def.type !== 'pipe' || json.anyOf !== undefined) return;
  const [, least, most] = / from (\S+) to (\S+)$/.exec(String(json.description)) ?? [];
  if (least !== undefined && leafKind(json.pattern) !== 'other') json.examples = [least, most];
  Reflect.deleteProperty(json, 'isPath'); // ours, for those who show a config
  const isFreeText = json.type === 'string' && json.pattern === undefined;
  const isList = json.type === 'array';
  if (isFreeText || isList) return;
  const own: Json = {};
  for (const key of ['type', 'pattern', 'enum', 'minimum', 'maximum', 'examples']) {
    if (json[key] === undefined) continue;
    own[key] = json[key];
    Reflect.deleteProperty(json, key);
  }
  json.anyOf = [own, { $ref: '#/$defs/variable' }];
}

/** Of the first alternative, where a variable is the other. */
function patternOf(json: Json): unknown {
  return (json.anyOf as Json[] | undefined)?.[0]?.pattern;
}
