/** What a writer of kind `redis` may be told. */
import { z } from 'zod';
import { duration, flag, section, text, wholeNumber, type SettingProblem } from '../settings.ts';
import { tlsProblems, tlsSettings } from '../tls-files.ts';
import { parseEndpoint, parseHostPort, showEndpoint, type Endpoint } from './address.ts';

const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;
const CONNECT_MS = 10_000;
const PREFIX_CHARS_MAX = 256;
/** Node of a cluster or sentinels that a config may name. */
const NODES_MAX = 100;

const timeLimit = (): z.ZodType<number> => duration({ min: '100ms', max: '10m' });
const name = (what: string): z.ZodType<string> => text(what, (value) => value !== '' && !/\p{Cc}/u.test(value));
const nodes = (port: number): z.ZodType<string[]> =>
  z
    .array(text('host:port, or a host', (value) => parseHostPort(value, port) !== undefined))
    .min(1)
    .max(NODES_MAX);

export const redisSettings = z.strictObject({
  /** One server. One of `address`, `cluster` and `sentinel` says where Redis is. */
  address: text('host:port, a host, or unix:/path', (value) => parseEndpoint(value, REDIS_PORT) !== undefined).optional(),
  /** Some nodes of a cluster; the others are learned from them. */
  cluster: nodes(REDIS_PORT).optional(),
  /** Sentinels, which know where the master is. */
  sentinel: section({
    addresses: nodes(SENTINEL_PORT),
    /** What they call the master. */
    name: name('the name of a master, on one line'),
    user: name('a user name on one line').optional(),
    password: name('a password on one line').optional(),
  }).optional(),
  /** Of an ACL; without it the password is the default user's. */
  user: name('a user name on one line').optional(),
  password: name('a password on one line').optional(),
  database: wholeNumber({ min: 0, max: 1_000_000 }).default(0),
  /** With it, empty or not, connections are over TLS; those to sentinels, too. */
  tls: tlsSettings.optional(),
  /** What the keys begin with, instead of `fondaco:{<site>}`. */
  prefix: text(
    `1 to ${PREFIX_CHARS_MAX} characters without control characters`,
    (value) => value !== '' && value.length <= PREFIX_CHARS_MAX && !/\p{Cc}/u.test(value),
  ).optional(),
  /** What is taken out of the streams; nothing unless told. */
  trim: section({
    /** About so many entries of each stream are kept, whether anybody has read the others or not. */
    entriesMax: wholeNumber({ min: 1, max: 1_000_000_000 }).optional(),
    /** What every consumer group of the stream has acknowledged. */
    acknowledged: flag().optional(),
  }).optional(),
  /** A batch counts as delivered when so many replicas have it, too. */
  replicas: wholeNumber({ min: 0, max: 100 }).default(0),
  /** For a Redis that may lose what it has answered for: so many of the last events are looked for, and written again, when its connection breaks. */
  resendWindow: wholeNumber({ min: 1, max: 1_000_000 }).optional(),
  /** For a batch, the connection included. */
  timeout: timeLimit().default(30_000),
  /** For the connection, TLS and the login included; at most `timeout`. */
  connectTimeout: timeLimit().optional(),
});

export type RedisSettings = z.output<typeof redisSettings>;

/** What is wrong with settings that are right one by one. */
export function redisProblems(settings: RedisSettings): SettingProblem[] {
  const { address, cluster, sentinel, tls, timeout, connectTimeout = 0, prefix } = settings;
  const problems: SettingProblem[] = [];
  const places = [address, cluster, sentinel].filter((place) => place !== undefined);
  if (places.length !== 1) problems.push({ key: [], message: 'must have one of address, cluster and sentinel' });
  if (settings.user !== undefined && settings.password === undefined) {
    problems.push({ key: ['user'], message: 'must have its password beside it' });
  }
  if (sentinel?.user !== undefined && sentinel.password === undefined) {
    problems.push({ key: ['sentinel', 'user'], message: 'must have its password beside it' });
  }
  if (tls) problems.push(...tlsProblems(tls).map(({ key, message }) => ({ key: ['tls', ...key], message })));
  if (tls && address?.startsWith('unix:')) problems.push({ key: ['tls'], message: 'must not stand beside a unix socket' });
  if (connectTimeout > timeout) problems.push({ key: ['connectTimeout'], message: 'must be at most timeout' });
  if (cluster) {
    if (settings.database !== 0) problems.push({ key: ['database'], message: 'must be 0 with cluster, which has no other' });
    if (settings.replicas !== 0) problems.push({ key: ['replicas'], message: 'must not stand beside cluster' });
    if (prefix !== undefined && !/^[^{]*\{[^}]+\}/.test(prefix)) {
      problems.push({ key: ['prefix'], message: 'must have a part in {braces} with cluster, so that all keys are in one slot' });
    }
  }
  return problems;
}

/** The settings with every default that depends on others. */
export interface Resolved extends RedisSettings {
  /** Servers to try, one after the other; empty with sentinels. */
  readonly endpoints: readonly Endpoint[];
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  readonly prefix: string;
  readonly connectTimeout: number;
  /** Where Redis is, for people. */
  readonly place: string;
}

export function resolved(settings: RedisSettings, site: string): Resolved {
  const { address, cluster, sentinel, timeout, prefix = `fondaco:{${site}}` } = settings;
  const endpoints = [...(address === undefined ? [] : [address]), ...(cluster ?? [])].map((each) => parseEndpoint(each, REDIS_PORT)!);
  const sentinels = (sentinel?.addresses ?? []).map((each) => parseHostPort(each, SENTINEL_PORT)!);
  const { connectTimeout = Math.min(CONNECT_MS, timeout) } = settings;
  return { ...settings, endpoints, sentinels, prefix, connectTimeout, place: placeOf(settings) };
}

/** Where Redis is, for people and to tell two places apart. */
function placeOf({ address, cluster, sentinel, database }: RedisSettings): string {
  const at = database === 0 ? '' : `/${database}`;
  if (cluster) return `the cluster of ${cluster.map((each) => showEndpoint(parseEndpoint(each, REDIS_PORT)!)).join(', ')}`;
  if (sentinel) return `${sentinel.name}${at} of sentinel ${showEndpoint(parseHostPort(sentinel.addresses[0]!, SENTINEL_PORT)!)}`;
  return `${showEndpoint(parseEndpoint(address!, REDIS_PORT)!)}${at}`;
}

/** What no other writer may have: two that write to one stream would be in each other's way. */
export function ownStreams(settings: RedisSettings): string {
  return `${settings.prefix ?? 'the streams of this site'} at ${placeOf(settings)}`;
}

/** What a delivery is worth, in words. */
export function redisPromise({ trim, replicas }: RedisSettings): string {
  const on = replicas === 0 ? '' : `, on ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`;
  const kept = trim?.entriesMax === undefined ? '' : `; all but the last ${trim.entriesMax} are trimmed, read or not`;
  return `once${on}${kept}`;
}
