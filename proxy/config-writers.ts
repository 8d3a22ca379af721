/** The writers of a config: what every writer has, and what only its kind can judge. */
import { dirname } from 'node:path';
import { z } from 'zod';
import type { RetryPolicy } from '../core/backoff.ts';
import type { BacklogLimits } from '../dispatcher/feed/feed-settings.ts';
import type { Filter } from '../dispatcher/feed/filter.ts';
import { section, type SettingProblem } from '../writers/settings.ts';
import { filterOf } from './config-filter.ts';
import { member, reportIssues } from './config-problems.ts';
import { removedShape, retryPolicy, writerShape } from './config-schema.ts';
import { showPath, type ConfigText, type KeyPath } from './config-yaml.ts';
import { WRITER_KINDS, writerKind, type WriterKind } from './writer-kinds.ts';

/** A writer as the config has it, checked. */
export interface WriterConfig {
  readonly name: string;
  readonly kind: string;
  /** The kind's own keys as they are written, variables resolved, checked. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What variables gave for it and may be a secret: not to be shown, wherever a destination repeats it. */
  readonly secrets: readonly string[];
  readonly batch: { readonly intervalMs: number; readonly eventsMax: number; readonly bytesMax: number };
  readonly retry: RetryPolicy;
  readonly backlog: BacklogLimits;
  readonly filter: Filter | undefined;
  readonly notices: boolean;
}

/** A writer that is no more, and what becomes of what it had. */
export interface RemovedWriter {
  readonly name: string;
  readonly removed: 'purge' | 'keep';
}

/** Without a config: what comes in is shown. */
export const DEFAULT_WRITERS = [{ name: 'console', kind: 'console', batch: { interval: '100ms' } }];

/** Those of a config that names none. */
export async function defaultWriters(): Promise<WriterConfig[]> {
  const kind = await writerKind('console');
  return kind ? DEFAULT_WRITERS.map((writer) => writerConfig(section(writerShape).parse(writer), {}, [])) : [];
}

/** The writers as the config has them. What is wrong is added to the text's problems, and that writer left out. */
export async function buildWriters(text: ConfigText, given: readonly unknown[], directory: string): Promise<WriterConfig[]> {
  checkNames(text, given);
  const built = await Promise.all(
    given.map(async (value, index) => (isRemoved(value) ? undefined : buildWriter(text, value, index, directory))),
  );
  await checkOwned(text, built, directory);
  return built.filter((writer) => writer !== undefined);
}

/** Of the same list: those that are no more. What is wrong is added to the text's problems. */
export function removedWriters(text: ConfigText, given: readonly unknown[]): RemovedWriter[] {
  return given.flatMap((value, index) => {
    if (!isRemoved(value)) return [];
    const parsed = section(removedShape).safeParse(value);
    if (!parsed.success) reportIssues(text, parsed.error.issues, ['writers', index]);
    return parsed.success ? [parsed.data] : [];
  });
}

function isRemoved(value: unknown): boolean {
  return member(value, 'removed') !== undefined;
}

async function buildWriter(text: ConfigText, value: unknown, index: number, directory: string): Promise<WriterConfig | undefined> {
  const path = ['writers', index];
  const named = member(value, 'kind');
  const kind = typeof named === 'string' ? await writerKind(named) : undefined;
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!kind && isMap) text.mustBe([...path, 'kind'], `one of ${WRITER_KINDS.join(', ')}`);
  const kindShape: z.ZodRawShape = kind?.shape ?? {};
  // Of a kind that is unknown only the keys that every writer has can be judged.
  const schema =
    kind || !isMap ? section({ ...writerShape, ...kindShape }) : z.looseObject({ ...writerShape, kind: z.unknown().optional() });
  const parsed = schema.safeParse(value);
  if (!parsed.success) reportIssues(text, parsed.error.issues, path);
  if (!parsed.success || !kind) return undefined;
  const settings = parsed.data as z.output<z.ZodObject<typeof writerShape>>;
  const { retry } = settings;
  if (retry.policy !== 'constant' && retry.initial > retry.max) {
    const key = [...path, 'retry', 'initial'];
    text.problem(key, `${showPath(key)} must be at most retry.max, got ${text.got(key)}`);
  }
  const own = Object.entries(value as object).filter(([key]) => key in kindShape);
  return complete(text, path, kind, { settings, own: Object.fromEntries(own), directory });
}

/** What only the kind can judge: its settings together, and how much it takes at a time. */
async function complete(
  text: ConfigText,
  path: KeyPath,
  kind: WriterKind,
  {
    settings,
    own,
    directory,
  }: { settings: z.output<z.ZodObject<typeof writerShape>>; own: Readonly<Record<string, unknown>>; directory: string },
): Promise<WriterConfig | undefined> {
  const problems = (await kind.check?.(own, directory)) ?? [];
  reportSettings(text, path, problems);
  if (problems.length > 0) return undefined;
  const eventsMax = kind.eventsMax?.(own) ?? Infinity;
  const key = [...path, 'batch', 'eventsMax'];
  if (settings.batch.eventsMax > eventsMax && text.got(key) !== 'nothing') {
    text.problem(key, `${showPath(key)} must be at most ${eventsMax} with these settings, got ${text.got(key)}`);
  }
  const batch = { ...settings.batch, eventsMax: Math.min(settings.batch.eventsMax, eventsMax) };
  return writerConfig({ ...settings, batch }, own, text.secretsBelow(path));
}

function reportSettings(text: ConfigText, path: KeyPath, problems: readonly SettingProblem[]): void {
  for (const { key, message } of problems) text.problem([...path, ...key], `${showPath([...path, ...key])} ${message}`);
}

/** Looks at the files of each writer whose own settings can be understood, whatever else is wrong. */
export async function probeWriters(text: ConfigText): Promise<void> {
  const given = member(text.value, 'writers');
  if (!Array.isArray(given)) return;
  for (const [index, value] of given.entries()) {
    const kind = await writerKind(String(member(value, 'kind')));
    if (!kind?.probe) continue;
    const path = ['writers', index];
    const isKnown = (key: string): boolean => key in kind.shape && !text.isUnset([...path, key]);
    const own = Object.fromEntries(Object.entries(value as object).filter(([key]) => isKnown(key)));
    if (!section(kind.shape).safeParse(own).success || ((await kind.check?.(own, dirname(text.file))) ?? []).length > 0) continue;
    reportSettings(text, path, await kind.probe(own, dirname(text.file)));
  }
}

/** Two writers to one file would write over each other. */
async function checkOwned(text: ConfigText, writers: readonly (WriterConfig | undefined)[], directory: string): Promise<void> {
  const seen = new Map<string, number>();
  for (const [index, writer] of writers.entries()) {
    const owned = writer && (await writerKind(writer.kind))?.owns?.(writer.settings, directory);
    if (!owned) continue;
    const first = seen.get(owned.what);
    const key = ['writers', index, owned.key];
    if (first !== undefined) text.problem(key, `${showPath(key)} must be another than that of writers[${first}], both are ${owned.what}`);
    else seen.set(owned.what, index);
  }
}

function writerConfig(
  settings: z.output<z.ZodObject<typeof writerShape>>,
  own: Readonly<Record<string, unknown>>,
  secrets: readonly string[],
): WriterConfig {
  const { name, kind, batch, retry, backlog, filter, notices } = settings;
  return {
    name,
    kind,
    settings: own,
    secrets,
    batch: { intervalMs: batch.interval, eventsMax: batch.eventsMax, bytesMax: batch.bytesMax },
    retry: retryPolicy(retry),
    backlog: { bytesMax: backlog.bytesMax, ageMaxMs: backlog.ageMax ?? Infinity, whenFull: backlog.whenFull },
    filter: filter && filterOf(filter),
    notices,
  };
}

function checkNames(text: ConfigText, writers: readonly unknown[]): void {
  const seen = new Map<unknown, number>();
  for (const [index, writer] of writers.entries()) {
    const name = member(writer, 'name');
    const first = seen.get(name);
    if (name !== undefined && first !== undefined) {
      const path = ['writers', index, 'name'];
      text.problem(path, `${showPath(path)} must be another than that of writers[${first}], got ${text.got(path)} twice`);
    } else seen.set(name, index);
  }
}
