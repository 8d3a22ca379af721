/** The config as the proxy understands it: what the file says, the rest filled in, secrets masked. */
import { resolve } from 'node:path';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { checkConfig, type ProxyConfig } from '../proxy/config.ts';
import { DEFAULT_WRITERS } from '../proxy/config-writers.ts';
import { configSchema, removedShape, writerShape } from '../proxy/config-schema.ts';
import { SECRET_KEYS } from '../proxy/config-secrets.ts';
import { ConfigText, type KeyPath } from '../proxy/config-yaml.ts';
import { writerKind } from '../proxy/writer-kinds.ts';
import { section } from '../writers/settings.ts';
import { visible } from '../writers/console-line.ts';
import { leafKind, writtenForm, type AnySchema } from './config-values.ts';
import { reportProblems } from './config.ts';
import { print, printJson } from './text.ts';

export const MASK = '***';

/** Prints it as YAML that is a config again but for the secrets, or as JSON. Exits 78 if the config has problems. */
export async function showConfig(file: string | undefined, isJson: boolean): Promise<void> {
  const checked = await checkConfig(file, { env: process.env, cwd: process.cwd() });
  if ('problems' in checked) {
    reportProblems(checked.problems, isJson);
    return;
  }
  const { config } = checked;
  const shown = await effectiveConfig(config, process.env);
  if (isJson) printJson({ file: config.file ?? null, config: shown });
  else {
    const from = config.file === undefined ? 'the built-in default' : visible(config.file);
    print(`# ${from}, with what it leaves open filled in\n${stringify(shown, { lineWidth: 0 }).trimEnd()}`);
  }
}

/** `config` with its keys as they are in a file. What a variable gives is shown as the variable, unless it can be no secret. */
export async function effectiveConfig(
  config: ProxyConfig,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Record<string, unknown>> {
  const text = config.file === undefined ? undefined : await ConfigText.read(config.file, env);
  const value = (text?.value ?? {}) as Record<string, unknown>;
  const source: Source = { written: (path) => text?.written(path), directory: config.directory };
  const shown = effective(configSchema, value, [], source) as Record<string, unknown>;
  const given = Array.isArray(value.writers) ? (value.writers as Record<string, unknown>[]) : undefined;
  const writers = (given ?? (DEFAULT_WRITERS as Record<string, unknown>[])).map(async (writer, index) => {
    if (writer.removed !== undefined) return effective(section(removedShape), writer, ['writers', index], source);
    const shape = { ...writerShape, ...(await writerKind(String(writer.kind)))?.shape };
    const { name, kind, ...rest } = effective(section(shape), writer, ['writers', index], source) as Record<string, unknown>;
    return { name, kind, ...ownFirst(rest) };
  });
  const whole: Record<string, unknown> = { ...shown, site: config.site, data: config.data, writers: await Promise.all(writers) };
  return mapped(Object.keys(configSchema.shape), whole, (_key, member) => member);
}

/** The keys of the kind before those that every writer has. */
function ownFirst(settings: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(settings);
  return Object.fromEntries([...entries.filter(([key]) => !(key in writerShape)), ...entries.filter(([key]) => key in writerShape)]);
}

/** Where values come from: what stands in the file where that holds a variable, and what paths are relative to. */
interface Source {
  readonly written: (path: KeyPath) => string | undefined;
  readonly directory: string;
}

/** A value and what its schema fills in, in the form of the file; undefined for what stays open. */
function effective(schema: AnySchema, value: unknown, path: KeyPath, source: Source): unknown {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'optional':
    case 'nullable':
      return value === undefined ? undefined : effective(def.innerType, value, path, source);
    case 'prefault':
      return effective(def.innerType, value ?? def.defaultValue, path, source);
    case 'default':
      if (value === undefined) return writtenForm(def.defaultValue, leafKind((def.innerType as z.ZodType).meta()?.pattern));
      return effective(def.innerType, value, path, source);
    case 'object':
      return mapped(Object.keys(def.shape), value, (key, member) => effective(def.shape[key]!, member, [...path, key], source));
    case 'record':
      return mapped(Object.keys(value as object), value, (key, member) => effective(def.valueType, member, [...path, key], source));
    case 'array':
      return (value as unknown[]).map((item, index) => effective(def.element, item, [...path, index], source));
    case 'union':
      return effective(alternative(def.options, value) ?? def.options[0]!, value, path, source);
    default:
      return shownLeaf(schema, value, path, source);
  }
}

function mapped(keys: readonly string[], value: unknown, show: (key: string, member: unknown) => unknown): Record<string, unknown> {
  const members = value as Record<string, unknown>;
  const pairs = keys.map((key) => [key, show(key, Object.hasOwn(members, key) ? members[key] : undefined)] as const);
  return Object.fromEntries(pairs.filter(([, shown]) => shown !== undefined));
}

/** The one that takes the value: of `retry`, the one with its policy. */
function alternative(options: readonly AnySchema[], value: unknown): AnySchema | undefined {
  return options.find((option) => (option as z.ZodType).safeParse(value).success);
}

function shownLeaf(schema: AnySchema, value: unknown, path: KeyPath, source: Source): unknown {
  const { written, directory } = source;
  const { type, pattern, isPath: isPathLeaf } = (schema as z.ZodType).meta() ?? {};
  // What belongs into a file of PEM, and stands here by mistake, is a secret.
  const isPath = isPathLeaf === true && !/-----BEGIN|\n/.test(String(value));
  if (!isPath && path.some((key) => typeof key === 'string' && SECRET_KEYS.test(key))) return MASK;
  if (Array.isArray(value)) return value.map((item: unknown, index) => shownLeaf(schema, item, [...path, index], source));
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return mapped(Object.keys(value), value, (key, member) => shownLeaf(schema, member, [...path, key], source));
  }
  const isFreeText = pattern === undefined && (type === 'string' || type === undefined);
  const variable = written(path);
  if (variable !== undefined && isFreeText) return variable;
  if (isPath) return resolve(directory, String(value));
  return typeof value === 'string' ? withoutCredentials(value) : value;
}

/** A URL without user, password and query, which may be secrets. */
function withoutCredentials(value: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return value;
  return value.replace(/\/\/[^/?#]*@/, `//${MASK}@`).replace(/\?.*$/s, `?${MASK}`);
}
