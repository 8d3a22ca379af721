/**
 * A proxy's config: found, read, checked. All that is wrong is said at once, with file, line, column, key, expected and got, before
 * anything of the proxy is touched.
 */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import type { RetryPolicy } from '../core/backoff.ts';
import type { Catalog } from '../core/catalog.ts';
import { systemClock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import type { Severity } from '../core/severity.ts';
import type { Budget } from '../dispatcher/limits/backlog.ts';
import type { BacklogLimits } from '../dispatcher/feed/feed-settings.ts';
import { section, type SettingProblem } from '../writers/settings.ts';
import { formatAddress, isLocal, parseAddress, type ListenAddress } from './address.ts';
import { readConfigCatalogs } from './config-catalogs.ts';
import { comesLater, configSchema, retryPolicy, writerShape } from './config-schema.ts';
import { ConfigText, showPath, type KeyPath, type Problem } from './config-yaml.ts';
import { readListenTls, type ListenTls } from './listen-tls.ts';
import { WRITER_KINDS, writerKind, type WriterKind } from './writer-kinds.ts';

export interface ProxyConfig {
  /** Where it was read from; undefined for the built-in default. */
  readonly file: string | undefined;
  /** What relative paths in it are relative to: where it lies. */
  readonly directory: string;
  readonly site: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  /** The data directory, absolute. */
  readonly data: string;
  readonly listen: {
    readonly grpc: ListenAddress;
    readonly http: ListenAddress;
    /** Of both listeners; undefined: without TLS. */
    readonly tls?: ListenTls;
    /** Wanted of every caller; never to be shown. */
    readonly token?: string;
  };
  readonly dedup: { readonly intervalMs: number; readonly windowsMax: number };
  /** The lowest severity of the urgent lane. */
  readonly urgent: Severity;
  readonly journal: Budget;
  readonly catalogs: readonly Catalog[];
  /** What becomes of events whose type is in none of them. */
  readonly unknownTypes: 'accept' | 'reject';
  readonly writers: readonly WriterConfig[];
}

export interface WriterConfig {
  readonly name: string;
  readonly kind: string;
  /** The kind's own keys as they are written, variables resolved, checked. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly batch: { readonly intervalMs: number; readonly eventsMax: number; readonly bytesMax: number };
  readonly retry: RetryPolicy;
  readonly backlog: BacklogLimits;
  readonly filter: { readonly minSeverity?: Severity; readonly types?: readonly string[] } | undefined;
  readonly notices: boolean;
}

/** A config as a file would have it: durations and sizes with their units, variables as `${NAME}`. Paths are relative to `cwd`. */
export type ConfigObject = Readonly<Record<string, unknown>>;

/** What a config depends on besides its file. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly hostname?: string;
  /** Milliseconds since 1970, by which certificates are judged; by default what the machine's clock says. */
  readonly nowMs?: number;
}

export type { Problem } from './config-yaml.ts';

/** A usable config, or what is wrong. */
export type CheckedConfig = { readonly config: ProxyConfig } | { readonly problems: readonly Problem[] };

/** Looked for in this order, after `--config` and FONDACO_CONFIG. */
const PLACES = ['./fondaco.yaml', '/etc/fondaco/fondaco.yaml'];
/** Without a config: what comes in is shown. */
export const DEFAULT_WRITERS = [{ name: 'console', kind: 'console', batch: { interval: '100ms' } }];

/**
 * The config at `file` (`--config`), or an object like one; without either the one that is found where `fondaco proxy` looks, or the default.
 * Rejects CONFIG with all that is wrong.
 */
export async function loadConfig(
  file?: string | ConfigObject,
  surroundings: Surroundings = { env: process.env, cwd: process.cwd() },
): Promise<ProxyConfig> {
  const checked = await checkConfig(file, surroundings);
  if ('config' in checked) return checked.config;
  const { problems } = checked;
  const heading = problems.length === 1 ? '1 problem in the config' : `${problems.length} problems in the config`;
  throw new FondacoError('CONFIG', `${heading}\n${problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}`);
}

/**
 * Like `loadConfig`, with the problems as values, in the order of their places. `isProbing`: looks for the files that writers name, too, whose
 * absence keeps no proxy from starting.
 */
export async function checkConfig(
  file: string | ConfigObject | undefined,
  surroundings: Surroundings,
  { isProbing = false }: { readonly isProbing?: boolean } = {},
): Promise<CheckedConfig> {
  if (typeof file === 'object') return checkObject(file, surroundings);
  const path = findConfig(file, surroundings);
  if (path === undefined) return { config: await buildDefault(surroundings) };
  const text = await ConfigText.read(path, surroundings.env);
  const config = text.isSound ? await build(text, surroundings) : undefined;
  if (text.isSound && isProbing) await probeWriters(text);
  if (config && text.problems.length === 0) return { config };
  return { problems: text.problems.sort(byPlace(text.file)) };
}

/** The config's own problems first, then those of files that it names; in each by their places. */
function byPlace(first: string): (a: Problem, b: Problem) => number {
  const rank = ({ file }: Problem): number => (file === first ? 0 : 1);
  return (a, b) => rank(a) - rank(b) || (a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1);
}

/**
 * The data directory of the config, absolute; nothing else of it is judged, and no variable beside its own needs to be set. Rejects CONFIG
 * where that cannot be told.
 */
export async function configuredData(file: string | undefined, surroundings: Surroundings): Promise<string> {
  const path = findConfig(file, surroundings);
  const text = path === undefined ? undefined : await ConfigText.read(path, surroundings.env);
  const data = configSchema.shape.data.safeParse(member(text?.value ?? {}, 'data'));
  if (text && !data.success) text.mustBe(['data'], expected(data.error.issues[0]!));
  const problems = text?.problems.filter(({ key }) => key === '' || key === 'data') ?? [];
  if (problems.length > 0) throw new FondacoError('CONFIG', problems.map(formatProblem).join('\n'));
  return dataOf(path === undefined ? surroundings.cwd : dirname(path), data.data, surroundings.env);
}

function dataOf(directory: string, data: string | undefined, env: Surroundings['env']): string {
  // systemd gives several, separated by colons, where a unit asks for several; the first is ours.
  const [stateDirectory = ''] = (env.STATE_DIRECTORY ?? '').split(':');
  return resolve(directory, data ?? (stateDirectory === '' ? './data' : stateDirectory));
}

async function checkObject(object: ConfigObject, surroundings: Surroundings): Promise<CheckedConfig> {
  const text = await ConfigText.of(object, join(surroundings.cwd, 'config'), surroundings.env);
  const config = await build(text, surroundings);
  if (config && text.problems.length === 0) return { config: { ...config, file: undefined } };
  return { problems: text.problems.map((problem) => ({ ...problem, file: 'config', line: 0, column: 0 })) };
}

/** `fondaco.yaml:3:5: writers[0].name must be …`. */
export function formatProblem({ file, line, column, message }: Problem): string {
  return line === 0 ? `${file}: ${message}` : `${file}:${line}:${column}: ${message}`;
}

function findConfig(file: string | undefined, { env, cwd }: Surroundings): string | undefined {
  const asked = file ?? (env.FONDACO_CONFIG === '' ? undefined : env.FONDACO_CONFIG);
  if (asked !== undefined) return resolve(cwd, asked);
  return PLACES.map((place) => resolve(cwd, place)).find((place) => existsSync(place));
}

async function build(text: ConfigText, surroundings: Surroundings): Promise<ProxyConfig | undefined> {
  const value = text.value ?? {};
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) report(text, parsed.error.issues, []);
  checkListen(text, member(value, 'listen'));
  const files = parsed.success ? parsed.data.listen.tls : undefined;
  const tls = files && (await readListenTls(text, files, surroundings.nowMs ?? systemClock().now()));
  const catalogs = parsed.success ? await readConfigCatalogs(text, parsed.data) : [];
  const given = member(value, 'writers');
  const writers = Array.isArray(given) ? await buildWriters(text, given, dirname(text.file)) : [];
  if (!parsed.success || text.problems.length > 0) return undefined;
  return assemble(parsed.data, given === undefined ? await defaultWriters() : writers, text.file, surroundings, { tls, catalogs });
}

async function buildDefault(surroundings: Surroundings): Promise<ProxyConfig> {
  return assemble(configSchema.parse({}), await defaultWriters(), undefined, surroundings);
}

function assemble(
  settings: z.output<typeof configSchema>,
  writers: readonly WriterConfig[],
  file: string | undefined,
  { env, cwd, hostname: host }: Surroundings,
  { tls, catalogs = [] }: { readonly tls?: ListenTls | undefined; readonly catalogs?: readonly Catalog[] } = {},
): ProxyConfig {
  const { listen, dedup, lanes, journal } = settings;
  const directory = file === undefined ? cwd : dirname(file);
  return {
    file,
    directory,
    site: settings.site ?? host ?? hostname(),
    labels: settings.labels,
    data: dataOf(directory, settings.data, env),
    listen: {
      grpc: listen.grpc,
      http: listen.http,
      ...(tls && { tls }),
      ...(listen.token !== undefined && { token: listen.token }),
    },
    dedup: { intervalMs: dedup.interval, windowsMax: dedup.windowsMax },
    urgent: lanes.urgent.minSeverity,
    journal: { bytesMax: journal.bytesMax, retentionMs: journal.retention },
    catalogs,
    unknownTypes: settings.unknownTypes,
    writers,
  };
}

async function defaultWriters(): Promise<WriterConfig[]> {
  const kind = await writerKind('console');
  return kind ? DEFAULT_WRITERS.map((writer) => writerConfig(section(writerShape).parse(writer), {})) : [];
}

async function buildWriters(text: ConfigText, given: readonly unknown[], directory: string): Promise<WriterConfig[]> {
  checkNames(text, given);
  const built = await Promise.all(given.map(async (value, index) => buildWriter(text, value, index, directory)));
  await checkOwned(text, built, directory);
  return built.filter((writer) => writer !== undefined);
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
  if (!parsed.success) report(text, parsed.error.issues, path);
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
  return writerConfig({ ...settings, batch }, own);
}

function reportSettings(text: ConfigText, path: KeyPath, problems: readonly SettingProblem[]): void {
  for (const { key, message } of problems) text.problem([...path, ...key], `${showPath([...path, ...key])} ${message}`);
}

/** Looks at the files of each writer whose own settings can be understood, whatever else is wrong. */
async function probeWriters(text: ConfigText): Promise<void> {
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

function writerConfig(settings: z.output<z.ZodObject<typeof writerShape>>, own: Readonly<Record<string, unknown>>): WriterConfig {
  const { name, kind, batch, retry, backlog, filter, notices } = settings;
  return {
    name,
    kind,
    settings: own,
    batch: { intervalMs: batch.interval, eventsMax: batch.eventsMax, bytesMax: batch.bytesMax },
    retry: retryPolicy(retry),
    backlog: { bytesMax: backlog.bytesMax, ageMaxMs: backlog.ageMax ?? Infinity, whenFull: backlog.whenFull },
    filter: filter && {
      ...(filter.minSeverity === undefined ? {} : { minSeverity: filter.minSeverity }),
      ...(filter.types === undefined ? {} : { types: filter.types }),
    },
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

/** What others can reach needs TLS and a token, or the word that says one knows. */
function checkListen(text: ConfigText, listen: unknown): void {
  const insecure = member(listen, 'insecure');
  const missing = ['tls', 'token'].filter((key) => member(listen, key) === undefined).map((key) => `listen.${key}`);
  const isGuarded = missing.length === 0 || insecure === true || insecure === 'true';
  const addresses = ['grpc', 'http'].map((key) => {
    const value = member(listen, key);
    return { path: ['listen', key], address: typeof value === 'string' ? parseAddress(value) : undefined };
  });
  for (const { path, address } of addresses) {
    if (!address || isLocal(address) || isGuarded) continue;
    text.problem(
      path,
      `${showPath(path)} must be on loopback or a unix socket without ${missing.join(' and ')}, got ${text.got(path)}: others could read and ` +
        'record events there. `fondaco tls init` makes certificates and a token and says what to write here; or, where the network itself is ' +
        'trusted, write `insecure: true` beside it',
    );
  }
  const [grpc, http] = addresses.map(({ address }) => address && formatAddress(address));
  if (grpc !== undefined && grpc === http && !grpc.endsWith(':0')) {
    text.problem(['listen', 'http'], `listen.http must be another address than listen.grpc, got ${text.got(['listen', 'http'])} twice`);
  }
}

/** zod's issues as problems in our words. */
function report(text: ConfigText, issues: readonly z.core.$ZodIssue[], prefix: KeyPath): void {
  for (const issue of issues) {
    const path = [...prefix, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const whole = [...path, key];
        const what = comesLater(whole) ? 'comes with a later version, this one knows' : 'is unknown, expected any of';
        text.keyProblem(whole, `${showPath(whole)} ${what} ${issue.message}`);
      }
    } else if (issue.code === 'invalid_key') {
      const [inner] = issue.issues;
      text.keyProblem(path, `${showPath(path)} must be ${inner?.message ?? 'another key'}, got ${JSON.stringify(String(path.at(-1)))}`);
    } else text.mustBe(path, expected(issue));
  }
}

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'custom':
      return issue.message;
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'invalid_union':
      return 'one of backoff, constant, suspend, dead-letter';
    case 'too_big':
      return `a list of at most ${issue.maximum}`;
    case 'too_small':
      return `a list of at least ${issue.minimum}`;
    default:
      return issue.message;
  }
}

const TYPES: Readonly<Record<string, string>> = { object: 'a map', record: 'a map', array: 'a list', string: 'a text' };

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}
