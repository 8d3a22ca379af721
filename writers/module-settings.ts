/** `kind: module`: a writer that somebody else wrote, from a module beside the config or from a package. */
import { createRequire, isBuiltin } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { systemClock } from '../core/clock.ts';
import { isWriterDefinition, type WriterDefinition } from '../core/define-writer.ts';
import { asError, FondacoError } from '../core/errors.ts';
import type { StandardIssue } from '../core/standard-schema.ts';
import { duration, text, type SettingProblem } from './settings.ts';

const PATH = /^\.{0,2}\//;
const PACKAGE = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*(\/[^\0]+)?$/i;

export const moduleSettings = z.strictObject({
  /** Relative to the config; the name of a package is looked for from there upwards. */
  module: text(
    'a file as ./writer.js or /opt/writer.js, or the name of a package',
    (value) => PATH.test(value) || (PACKAGE.test(value) && !isBuiltin(value)),
  ),
  /** The module's own. */
  settings: z.record(z.string(), z.unknown()).optional(),
  /** How long one write may take before it is aborted. */
  timeout: duration({ min: '100ms', max: '1h' }).default(30_000),
});

export type ModuleSettings = z.output<typeof moduleSettings>;

/** A module that takes longer is one that never ends loading. */
const LOAD_MS = 10_000;
const MESSAGE_CHARS_MAX = 500;
const ISSUES_MAX = 50;
const NOT_MADE = "must have a default export made by defineWriter of 'fondaco/writer'";

/** What is wrong with the module or with what its schema says of the settings; loads it. */
export async function moduleProblems(settings: ModuleSettings, directory: string, loadMs = LOAD_MS): Promise<readonly SettingProblem[]> {
  const loaded = await loadModule(settings.module, directory, loadMs);
  if ('problem' in loaded) return [{ key: ['module'], message: loaded.problem }];
  const checked = checkSettings(loaded.definition, settings.settings);
  return 'problems' in checked ? checked.problems : [];
}

/** The definition, and the settings as its schema makes them. Rejects CONFIG with the first problem. */
export async function loadWriter(
  settings: ModuleSettings,
  directory: string,
): Promise<{ readonly definition: WriterDefinition; readonly value: unknown }> {
  const loaded = await loadModule(settings.module, directory);
  if ('problem' in loaded) throw new FondacoError('CONFIG', `module ${loaded.problem}`);
  return { definition: loaded.definition, value: settingsOf(loaded.definition, settings.settings) };
}

/** Settings as the schema of a definition makes them. Throws CONFIG with the first problem. */
export function settingsOf(definition: WriterDefinition, given: unknown): unknown {
  const checked = checkSettings(definition, given);
  if (!('problems' in checked)) return checked.value;
  const [{ key, message } = { key: [], message: '' }] = checked.problems;
  throw new FondacoError('CONFIG', `${key.join('.')} ${message}`);
}

async function loadModule(
  specifier: string,
  directory: string,
  loadMs = LOAD_MS,
): Promise<{ readonly definition: WriterDefinition } | { readonly problem: string }> {
  let module: unknown;
  try {
    module = await within(loadMs, import(urlOf(specifier, directory)) as Promise<unknown>);
  } catch (error) {
    return { problem: `must be a module that can be loaded, ${reasonOf(error)}` };
  }
  const made = defaultOf(defaultOf(module)) ?? defaultOf(module); // TypeScript's CommonJS has its default within the default
  if (made === undefined) return { problem: `${NOT_MADE}, got none` };
  return isWriterDefinition(made) ? { definition: made } : { problem: `${NOT_MADE}, got another ${typeof made}` };
}

function defaultOf(module: unknown): unknown {
  return typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined;
}

function urlOf(specifier: string, directory: string): string {
  const file = PATH.test(specifier) ? resolve(directory, specifier) : createRequire(join(directory, 'config')).resolve(specifier);
  return pathToFileURL(file).href;
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = systemClock()
    .sleep(limitMs, over.signal)
    .then((): T => {
      throw new Error(`it must be loaded within ${limitMs} ms`);
    });
  late.catch(() => undefined);
  return Promise.race([work, late]).finally(() => over.abort());
}

/** Where it is a fault in the text, Node names the place only in the first line of the stack. */
function reasonOf(error: unknown): string {
  const { message, stack = '' } = asError(error);
  const [first = ''] = message.split('\n');
  const [place] = /^file:\/\/\S+:\d+(?=\n)/.exec(stack) ?? [];
  const isFirstOfChain = first.includes(`imported from ${import.meta.filename}`);
  const text = isFirstOfChain ? first.replace(/ imported from .*$/, '') : first;
  return cut(place === undefined ? text : `${text} (${place})`);
}

type Checked = { readonly value: unknown } | { readonly problems: readonly SettingProblem[] };

function checkSettings({ settings: schema }: WriterDefinition, given: unknown): Checked {
  const wrong = (key: SettingProblem['key'], message: string): Checked => ({ problems: [{ key, message }] });
  if (!schema) return given === undefined ? { value: undefined } : wrong(['settings'], 'must be left out, this module takes none');
  let result: unknown;
  try {
    result = schema['~standard'].validate(given ?? {});
  } catch (error) {
    return wrong(['settings'], `cannot be checked, the schema of the module throws: ${reasonOf(error)}`);
  }
  if (result instanceof Promise) {
    result.catch(() => undefined);
    return wrong(
      ['module'],
      'must have a synchronous schema, got an asynchronous one: what looks at more than the settings belongs in open',
    );
  }
  if (typeof result !== 'object' || result === null) return wrong(['module'], 'must have a schema that gives { value } or { issues }');
  const { issues } = result as { readonly issues?: readonly StandardIssue[] };
  if (!issues) return { value: (result as { readonly value?: unknown }).value };
  return { problems: issues.slice(0, ISSUES_MAX).map(problemOf) };
}

function problemOf({ message, path = [] }: StandardIssue): SettingProblem {
  const keys = path.map((key) => (typeof key === 'object' ? key.key : key)).map((key) => (typeof key === 'symbol' ? String(key) : key));
  return { key: ['settings', ...keys], message: `is refused by its module: ${cut(message)}` };
}

/** Of what others wrote: it may be no text. */
function cut(given: unknown): string {
  const text = asError(given).message;
  return text.length > MESSAGE_CHARS_MAX ? `${text.slice(0, MESSAGE_CHARS_MAX)}…` : text;
}
