/**
 * The daemon: one journal, one dispatcher, a feed for each writer, the inputs, the admin surface.
 *
 * Start: everything is opened before anything is taken in; a writer that cannot be opened is a state of that writer. Stop, on abort:
 * inputs first (what they took is answered), then feeds and the dispatcher, then writers, the admin surface, the journal. Nothing needed
 * for correctness happens there: what was not delivered is in the journal. A bug in any part stops the others, and `runProxy` rejects with it.
 */
import { setMaxListeners } from 'node:events';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import { systemClock, systemRandom, type Clock } from '../core/clock.ts';
import { asError, FondacoError } from '../core/errors.ts';
import type { Journal } from '../core/journal.ts';
import { shortError } from '../core/short-error.ts';
import { TypeRules } from '../core/type-rules.ts';
import type { Writer } from '../core/writer.ts';
import { Dispatch } from '../dispatcher/dispatch.ts';
import type { Feed } from '../dispatcher/feed/feed.ts';
import type { FeedState } from '../dispatcher/feed/feed-status.ts';
import { History } from '../dispatcher/history/history.ts';
import type { WriterSettings } from '../dispatcher/writer-settings.ts';
import { openJournal } from '../journal/open-journal.ts';
import { formatAddress, type ListenAddress } from './address.ts';
import type { ProxyConfig } from './config.ts';
import type { WriterConfig } from './config-writers.ts';
import { LiveConfig, type ConfigSource } from './live-config.ts';
import { Gate } from './token-gate.ts';
import { catalogRoutes } from './http/catalog-routes.ts';
import { deadLetterRoutes } from './http/dead-letter-routes.ts';
import { deliveryRoutes } from './http/delivery-routes.ts';
import { eventRoutes } from './http/event-routes.ts';
import { historyRoutes } from './http/history-routes.ts';
import { outageRoutes } from './http/outage-routes.ts';
import { rejectionRoutes } from './http/rejection-routes.ts';
import { HttpSurface } from './http/server.ts';
import { siteRoutes } from './http/site-routes.ts';
import { statusRoutes } from './http/status-routes.ts';
import { streamRoutes } from './http/stream-routes.ts';
import { verifyRoutes } from './http/verify-routes.ts';
import { writerRoutes } from './http/writer-routes.ts';
import { admitForwarders } from './inputs/forwarders.ts';
import { GrpcInput } from './inputs/grpc.ts';
import { HttpInput } from './inputs/http.ts';
import { Refusals } from './caller-refusals.ts';
import { sendHeartbeats } from './heartbeat.ts';
import { statusSource } from './status.ts';
import { writerKind, type WriterParts } from './writer-kinds.ts';
import { makeDirectory } from '../journal/make-directory.ts';
import { Secrets } from '../writers/secrets.ts';

/** How often the states of feeds are looked at, to log their changes, ms. */
const WATCH_MS = 500;
/** How long before its end a certificate is warned of at the start, ms. */
const EXPIRY_WARNING_MS = 30 * 24 * 3600 * 1000;

/** Without them: the machine's clock and chance, no log, this process's stdout and environment. */
export interface ProxyParts extends WriterParts {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** What /v1/status tells. */
  readonly version: string;
  /** Called once, when events are taken. */
  readonly ready?: (bound: Bound) => void;
  /** How the config is read again when it changes; without it, it stays as it is. */
  readonly source?: ConfigSource;
  /** Calls `listener` at each SIGHUP: files are opened anew, and the config is read. Returns what ends it. */
  readonly onHangup?: (listener: () => void) => () => void;
}

/** Where a proxy listens: with the ports that it got, where it asked for any. */
export interface Bound {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
}

/**
 * Runs a proxy until `signal` is aborted, then stops it cleanly and resolves. Rejects CONFIG (the data directory or an address cannot be
 * used), UNAVAILABLE (one of them is in use), CORRUPT, FULL, or with a bug.
 */
export async function runProxy(config: ProxyConfig, given: Partial<ProxyParts>, signal: AbortSignal): Promise<void> {
  const parts = withDefaults(given);
  const { logger } = parts;
  const journal = await openStore(config, parts);
  try {
    await runOn(journal, config, parts, signal);
  } finally {
    await journal.close();
  }
  logger.info({ data: config.data }, 'proxy stopped');
}

function withDefaults(given: Partial<ProxyParts>): ProxyParts {
  const { stdout, env } = process;
  const silent = { clock: systemClock(), random: systemRandom, logger: pino({ level: 'silent' }), version: 'embedded', stdout, env };
  return { ...silent, ...given };
}

async function openStore(config: ProxyConfig, { clock, logger }: ProxyParts): Promise<Journal> {
  try {
    await makeDirectory(config.data);
  } catch (error) {
    throw new FondacoError('CONFIG', `data must be a directory that can be made, ${asError(error).message}`, { cause: error });
  }
  return openJournal(join(config.data, 'journal'), {
    clock,
    site: config.site,
    ...(config.labels && { labels: config.labels }),
    holder: `proxy, process ${process.pid}`,
    onProblem: (problem) => logger.error({ err: problem }, 'the journal failed'),
  });
}

async function runOn(journal: Journal, config: ProxyConfig, parts: ProxyParts, signal: AbortSignal): Promise<void> {
  const { clock, random, logger } = parts;
  const { dedup, urgent } = config;
  const types = config.catalogs.length === 0 ? undefined : new TypeRules(config.catalogs, { isClosed: config.unknownTypes === 'reject' });
  /** What the deliveries of each writer are worth. */
  const promises = new Map<string, string>();
  const settingsOf = async (writer: WriterConfig): Promise<WriterSettings> => {
    promises.set(writer.name, await promiseOf(writer));
    return writerSettings(writer, config, { ...parts, journal: journal.id });
  };
  const writers = await Promise.all(config.writers.map(settingsOf));
  const onProblem = (problem: Error): void => logger.error({ err: shortError(problem) }, 'a writer failed at its end');
  const dispatch = await Dispatch.open(journal, { writers, dedup, urgent, types, budget: config.journal, clock, random, onProblem });
  const { dispatcher, feeds, backlog } = dispatch;
  const live = new LiveConfig(config, parts.source, {
    clock,
    logger,
    settingsOf,
    change: async (change) => dispatch.change(change),
    onHangup: parts.onHangup ?? (() => () => undefined),
    reopen: () => feeds.forEach(({ settings: { writer } }) => writer.reopen?.()),
  });
  let isStopping = false;
  const isReady = (): boolean => journal.isOpen && !isStopping && dispatcher.room.refusal === undefined;

  const accept = dispatcher.accept.bind(dispatcher);
  const bug = new AbortController();
  const stop = AbortSignal.any([signal, bug.signal]);
  const history = new History(journal, clock);
  const identity = { site: config.site, node: hostname(), data: config.data, promiseOf: (name: string) => promises.get(name) };
  const httpInput = new HttpInput({
    accept,
    journal: journal.id,
    refusal: () => dispatcher.room.refusal,
    clock,
    node: hostname(),
    urgent,
    types,
  });
  const { tls, token } = config.listen;
  const turnedAway = (what: string): Refusals => new Refusals(clock, (refused, last, why) => logger.warn({ refused, last, why }, what));
  const gate = new Gate({ token, refusals: turnedAway('calls without the token of this proxy were refused') });
  const access = { tls, gate, refusals: turnedAway('connections were refused') };
  const http = await HttpSurface.open({
    address: config.listen.http,
    ...access,
    routes: [
      statusRoutes({
        isReady,
        status: await statusSource({
          ...identity,
          version: parts.version,
          clock,
          journal,
          dispatcher,
          backlog,
          feeds,
          isReady,
          httpInput,
          config: () => live.status(),
        }),
        ledger: async () => dispatch.ledger(),
      }),
      eventRoutes({ input: httpInput, clock }),
      historyRoutes({ history }),
      rejectionRoutes(dispatcher.rejected),
      catalogRoutes(types),
      streamRoutes({ history, journal, clock, stop }),
      writerRoutes({
        feeds,
        kindOf: (name) => live.writer(name)?.kind ?? '',
        promiseOf: identity.promiseOf,
      }),
      deadLetterRoutes({ dispatcher, feeds }),
      deliveryRoutes(journal),
      outageRoutes({ journal, clock }),
      siteRoutes(dispatcher),
      verifyRoutes(journal),
    ],
    onProblem: (problem) => logger.error({ err: problem }, 'a request failed'),
  });
  try {
    const forwarded = admitForwarders(accept, { site: config.site, sites: config.listen.sites });
    const input = await GrpcInput.open({ address: config.listen.grpc, ...access, accept: forwarded, journal: journal.id, isReady, clock });
    const guarded = (running: Promise<void>): Promise<void> => running.catch((error: unknown) => bug.abort(error));

    const work = new AbortController();
    setMaxListeners(0, stop, work.signal); // every stream and every writer listens; Node would warn of the eleventh
    const beat = { dispatcher, feeds, version: parts.version, node: hostname(), intervalMs: config.heartbeatMs };
    const beats = sendHeartbeats(beat, work.signal);
    const working = [dispatch.run(work.signal), watch(feeds, parts, work.signal), live.run(work.signal), beats];
    const worked = Promise.all(working.map(guarded));
    const taking = Promise.all([input, httpInput].map((each) => guarded(each.run(stop))));
    logStart(config, { grpc: input.address, http: http.address }, parts);
    warnOfDeparted(dispatcher.counts.writers, config, logger);

    await taking;
    isStopping = true;
    logger.info('stopping');
    work.abort();
    await worked;
    if (bug.signal.aborted) throw asError(bug.signal.reason);
  } finally {
    await http.close();
  }
}

async function writerSettings(
  config: WriterConfig,
  { directory, site }: ProxyConfig,
  parts: ProxyParts & { readonly journal: string },
): Promise<WriterSettings> {
  const { name, kind: kindName, settings, secrets, batch, retry, backlog, filter = {}, notices } = config;
  const kind = await knownKind(kindName);
  const hidden = new Secrets(secrets);
  const writer = async (): Promise<Writer> =>
    kind.open(settings, { ...parts, site, directory, name, logger: parts.logger.child({ writer: name }) });
  return {
    name,
    writer,
    hide: (text) => hidden.hide(text),
    batch,
    retry,
    backlog,
    filter,
    notices,
    heartbeats: kind.heartbeats ?? false,
    writeTimeoutMs: kind.writeTimeoutMs(settings),
  };
}

async function promiseOf({ kind, settings }: WriterConfig): Promise<string> {
  return (await knownKind(kind)).promise?.(settings) ?? 'at least once';
}

async function knownKind(name: string): Promise<NonNullable<Awaited<ReturnType<typeof writerKind>>>> {
  const kind = await writerKind(name);
  if (!kind) throw new FondacoError('CONFIG', `there is no kind of writer called ${name}`);
  return kind;
}

function logStart(config: ProxyConfig, bound: Bound, { clock, logger, ready, version }: ProxyParts): void {
  const { file, site, data, writers, listen } = config;
  const [grpc, http] = [formatAddress(bound.grpc), formatAddress(bound.http)];
  const access = {
    tls: listen.tls !== undefined,
    clientCertificates: listen.tls?.clientCa !== undefined,
    token: listen.token !== undefined,
  };
  logger.info(
    { version, config: file ?? 'built-in default', site, data, grpc, http, access, writers: writers.map(({ name }) => name) },
    'proxy started',
  );
  const expires = listen.tls?.expires;
  if (expires && expires.getTime() - clock.now() < EXPIRY_WARNING_MS)
    logger.warn({ expires }, 'the certificate of listen.tls expires soon');
  ready?.(bound);
}

/** A writer that the config does not name any more keeps what it had; whether that was meant, only a person knows. */
function warnOfDeparted(known: readonly string[], { writers, removed }: ProxyConfig, logger: Logger): void {
  const departed = known.filter((name) => [...writers, ...removed].every((each) => each.name !== name));
  if (departed.length === 0) return;
  const message = 'writers that the config does not name any more keep what they had: say { name: …, removed: keep } or purge';
  logger.warn({ writers: departed }, message);
}

/** One line when a feed's state changes, however many writes fail in between. */
async function watch(feeds: readonly Feed[], { clock, logger }: ProxyParts, signal: AbortSignal): Promise<void> {
  const before = new Map<string, FeedState | 'resumed'>();
  const deadBefore = new Map(feeds.map((feed) => [feed.status().name, feed.status().dead]));
  while (!signal.aborted) {
    for (const feed of feeds) {
      const { name, state: told, dead, lastError, resumedAt } = feed.status();
      const state = told === 'delivering' && resumedAt !== undefined ? 'resumed' : told;
      const more = dead - (deadBefore.get(name) ?? dead);
      deadBefore.set(name, dead);
      if (more > 0) logger.warn({ writer: name, more, dead, problem: lastError?.message }, 'events were set aside as dead letters');
      const last = before.get(name) ?? 'delivering';
      before.set(name, state);
      if (state === last) continue;
      if (state === 'resumed') logger.info({ writer: name, before: last }, 'writer was resumed, nothing is delivered yet');
      else if (state === 'paused') logger.info({ writer: name, before: last }, 'writer is paused, events are kept');
      else if (state === 'delivering') logger.info({ writer: name, state, before: last }, 'writer delivers again');
      else logger.warn({ writer: name, state, before: last, problem: lastError?.message }, 'writer does not take events, they are kept');
    }
    await clock.sleep(WATCH_MS, signal);
  }
}
