/**
 * A proxy's config: found, read, checked. All that is wrong is said at once, with file, line, column, key, expected and got, before
 * anything of the proxy is touched.
 */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { z } from 'zod';
import type { Catalog } from '../core/catalog.ts';
import { systemClock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import type { Severity } from '../core/severity.ts';
import type { Budget } from '../dispatcher/limits/backlog.ts';
import { formatAddress, isLocal, parseAddress, type ListenAddress } from './address.ts';
import { readConfigCatalogs } from './config-catalogs.ts';
import { expected, member, reportIssues } from './config-problems.ts';
import { configSchema } from './config-schema.ts';
import { buildWriters, defaultWriters, probeWriters, removedWriters, type RemovedWriter, type WriterConfig } from './config-writers.ts';
import { ConfigText, showPath, type Problem } from './config-yaml.ts';
import { readListenTls, type ListenTls } from './listen-tls.ts';

/** A config, checked, its defaults filled in, its paths absolute. */
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
    /** Sites that may forward, with `*` for any characters; undefined: any. */
    readonly sites?: readonly string[];
  };
  readonly dedup: { readonly intervalMs: number; readonly windowsMax: number };
  /** The lowest severity of the urgent lane. */
  readonly urgent: Severity;
  readonly journal: Budget;
  readonly catalogs: readonly Catalog[];
  /** What becomes of events whose type is in none of them. */
  readonly unknownTypes: 'accept' | 'reject';
  /** As configured; 0: no heartbeats. */
  readonly heartbeatMs?: number;
  readonly writers: readonly WriterConfig[];
  /** Writers that are no more. */
  readonly removed: readonly RemovedWriter[];
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
  if (!parsed.success) reportIssues(text, parsed.error.issues, []);
  checkListen(text, member(value, 'listen'));
  const files = parsed.success ? parsed.data.listen.tls : undefined;
  const tls = files && (await readListenTls(text, files, surroundings.nowMs ?? systemClock().now()));
  const catalogs = parsed.success ? await readConfigCatalogs(text, parsed.data) : [];
  const given = member(value, 'writers');
  const writers = Array.isArray(given) ? await buildWriters(text, given, dirname(text.file)) : [];
  const removed = Array.isArray(given) ? removedWriters(text, given) : [];
  if (!parsed.success || text.problems.length > 0) return undefined;
  return assemble(parsed.data, given === undefined ? await defaultWriters() : writers, text.file, surroundings, { tls, catalogs, removed });
}

async function buildDefault(surroundings: Surroundings): Promise<ProxyConfig> {
  return assemble(configSchema.parse({}), await defaultWriters(), undefined, surroundings);
}

function assemble(
  settings: z.output<typeof configSchema>,
  writers: readonly WriterConfig[],
  file: string | undefined,
  { env, cwd, hostname: host }: Surroundings,
  {
    tls,
    catalogs = [],
    removed = [],
  }: { readonly tls?: ListenTls | undefined; readonly catalogs?: readonly Catalog[]; readonly removed?: readonly RemovedWriter[] } = {},
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
      ...(listen.sites && { sites: listen.sites }),
    },
    dedup: { intervalMs: dedup.interval, windowsMax: dedup.windowsMax },
    urgent: lanes.urgent.minSeverity,
    journal: { bytesMax: journal.bytesMax, retentionMs: journal.retention },
    catalogs,
    unknownTypes: settings.unknownTypes,
    ...(settings.heartbeat !== undefined && { heartbeatMs: settings.heartbeat }),
    writers,
    removed,
  };
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
