/** The kinds of writer that a config may name. A kind's module, and the packages it needs, are loaded when it is configured. */
import type { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import type { WriterContext } from '../core/define-writer.ts';
import type { Writer } from '../core/writer.ts';
import type { Terminal } from '../writers/console.ts';
import type { SettingProblem } from '../writers/settings.ts';

/** What a writer may need of its process. */
export interface WriterParts {
  readonly clock: Clock;
  /** Where a console writer writes. */
  readonly stdout: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** … and of its config. */
export interface OpenParts extends WriterParts, WriterContext {
  /** The proxy's site, and the UUID of its journal. */
  readonly site: string;
  readonly journal: string;
}

/** Settings are given as they are written in the config; but for `check`, they have passed `check`. */
export interface WriterKind {
  /** Its settings, beside the keys that every writer has. */
  readonly shape: z.ZodRawShape;
  /** What is wrong with settings that fit the shape. Looks at nothing but them, and the code that is to be run. */
  readonly check?: (settings: unknown, directory: string) => readonly SettingProblem[] | Promise<readonly SettingProblem[]>;
  /** What is wrong, at this moment, with the files and directories that they name. For people: a proxy starts all the same. */
  readonly probe?: (settings: unknown, directory: string) => Promise<readonly SettingProblem[]>;
  /** What no other writer may have, such as a file, and the key that names it. */
  readonly owns?: (settings: unknown, directory: string) => { readonly key: string; readonly what: string };
  /** Opens a writer. */
  readonly open: (settings: unknown, parts: OpenParts) => Promise<Writer>;
  /** How long one write may take before it is aborted, ms: longer than any limit of the writer's own. */
  readonly writeTimeoutMs: (settings: unknown) => number;
  /** What a delivery is worth, in words; `at least once` unless told. */
  readonly promise?: (settings: unknown) => string;
  /** Heartbeats of proxies are for this kind, whatever its filter. */
  readonly heartbeats?: true;
  /** A write takes at most so many events, whatever `batch` says; undefined: no such limit. */
  readonly eventsMax?: (settings: unknown) => number | undefined;
}

const KINDS: Readonly<Record<string, () => Promise<WriterKind>>> = {
  http: async () => {
    const { HttpWriter } = await import('../writers/http/writer.ts');
    const { httpEventsMax, httpProblems, httpSettings, httpWriteMs } = await import('../writers/http/settings.ts');
    const { tlsFileProblems } = await import('../writers/tls-files.ts');
    return {
      shape: httpSettings.shape,
      check: (settings) => httpProblems(httpSettings.parse(settings)),
      probe: async (settings, directory) => {
        const { tls } = httpSettings.parse(settings);
        const problems = tls ? await tlsFileProblems(tls, directory) : [];
        return problems.map(({ key, message }) => ({ key: ['tls', ...key], message }));
      },
      open: async (settings, parts) => HttpWriter.open(httpSettings.parse(settings), parts),
      writeTimeoutMs: (settings) => httpWriteMs(httpSettings.parse(settings)),
      eventsMax: (settings) => httpEventsMax(httpSettings.parse(settings)),
    };
  },
  syslog: async () => {
    const { SyslogWriter } = await import('../writers/syslog/writer.ts');
    const { syslogProblems, syslogPromise, syslogSettings } = await import('../writers/syslog/settings.ts');
    const { tlsFileProblems } = await import('../writers/tls-files.ts');
    return {
      shape: syslogSettings.shape,
      check: (settings) => syslogProblems(syslogSettings.parse(settings)),
      probe: async (settings, directory) => {
        const { tls } = syslogSettings.parse(settings);
        const problems = tls ? await tlsFileProblems(tls, directory) : [];
        return problems.map(({ key, message }) => ({ key: ['tls', ...key], message }));
      },
      open: async (settings, parts) => SyslogWriter.open(syslogSettings.parse(settings), parts),
      promise: (settings) => syslogPromise(syslogSettings.parse(settings)),
      writeTimeoutMs: (settings) => syslogSettings.parse(settings).timeout + 5000,
    };
  },
  sql: async () => {
    const { SqlWriter } = await import('../writers/sql/writer.ts');
    const { sqlProbe, sqlProblems, sqlSettings } = await import('../writers/sql/settings.ts');
    return {
      shape: sqlSettings.shape,
      check: async (settings) => sqlProblems(sqlSettings.parse(settings)),
      probe: async (settings, directory) => sqlProbe(sqlSettings.parse(settings), directory),
      open: async (settings, parts) => SqlWriter.open(sqlSettings.parse(settings), parts),
      promise: () => 'once, by event id and revision',
      writeTimeoutMs: (settings) => sqlSettings.parse(settings).timeout + 5000,
    };
  },
  redis: async () => {
    const { RedisWriter } = await import('../writers/redis/writer.ts');
    const { ownStreams, redisProblems, redisPromise, redisSettings } = await import('../writers/redis/settings.ts');
    const { tlsFileProblems } = await import('../writers/tls-files.ts');
    return {
      shape: redisSettings.shape,
      check: (settings) => redisProblems(redisSettings.parse(settings)),
      probe: async (settings, directory) => {
        const { tls } = redisSettings.parse(settings);
        const problems = tls ? await tlsFileProblems(tls, directory) : [];
        return problems.map(({ key, message }) => ({ key: ['tls', ...key], message }));
      },
      owns: (settings) => ({ key: 'prefix', what: ownStreams(redisSettings.parse(settings)) }),
      open: async (settings, parts) => RedisWriter.open(redisSettings.parse(settings), parts),
      promise: (settings) => redisPromise(redisSettings.parse(settings)),
      writeTimeoutMs: (settings) => redisSettings.parse(settings).timeout + 5000,
    };
  },
  otlp: async () => {
    const { OtlpWriter } = await import('../writers/otlp/writer.ts');
    const { otlpProblems, otlpSettings } = await import('../writers/otlp/settings.ts');
    const { tlsFileProblems } = await import('../writers/tls-files.ts');
    return {
      shape: otlpSettings.shape,
      check: (settings) => otlpProblems(otlpSettings.parse(settings)),
      probe: async (settings, directory) => {
        const { tls } = otlpSettings.parse(settings);
        const problems = tls ? await tlsFileProblems(tls, directory) : [];
        return problems.map(({ key, message }) => ({ key: ['tls', ...key], message }));
      },
      open: async (settings, parts) => OtlpWriter.open(otlpSettings.parse(settings), parts),
      writeTimeoutMs: (settings) => otlpSettings.parse(settings).timeout + 5000,
    };
  },
  upstream: async () => {
    const { UpstreamWriter } = await import('../writers/upstream/writer.ts');
    const { upstreamProblems, upstreamSettings } = await import('../writers/upstream/settings.ts');
    const { tlsFileProblems } = await import('../writers/tls-files.ts');
    return {
      shape: upstreamSettings.shape,
      check: (settings) => upstreamProblems(upstreamSettings.parse(settings)),
      probe: async (settings, directory) => {
        const { tls } = upstreamSettings.parse(settings);
        const problems = tls ? await tlsFileProblems(tls, directory) : [];
        return problems.map(({ key, message }) => ({ key: ['tls', ...key], message }));
      },
      open: async (settings, parts) => UpstreamWriter.open(upstreamSettings.parse(settings), parts),
      promise: () => 'once',
      writeTimeoutMs: (settings) => upstreamSettings.parse(settings).timeout * 4 + 5000,
      heartbeats: true,
    };
  },
  file: async () => {
    const { FileWriter } = await import('../writers/file.ts');
    const { fileProbe, fileProblems, fileSettings, ownFile } = await import('../writers/file-settings.ts');
    return {
      shape: fileSettings.shape,
      check: (settings) => fileProblems(fileSettings.parse(settings)),
      probe: async (settings, directory) => fileProbe(fileSettings.parse(settings), directory),
      owns: (settings, directory) => ({ key: 'path', what: ownFile(fileSettings.parse(settings), directory) }),
      open: async (settings, parts) => FileWriter.open(fileSettings.parse(settings), parts),
      writeTimeoutMs: () => 60_000,
    };
  },
  console: async () => {
    const { ConsoleWriter, consoleSettings } = await import('../writers/console.ts');
    return {
      shape: consoleSettings.shape,
      open: async (settings, { stdout, env }) => ConsoleWriter.open(consoleSettings.parse(settings), { stream: stdout, env }),
      writeTimeoutMs: () => 60_000,
    };
  },
  module: async () => {
    const { ModuleWriter } = await import('../writers/module.ts');
    const { moduleProblems, moduleSettings } = await import('../writers/module-settings.ts');
    return {
      shape: moduleSettings.shape,
      check: async (settings, directory) => moduleProblems(moduleSettings.parse(settings), directory),
      open: async (settings, parts) => ModuleWriter.open(moduleSettings.parse(settings), parts),
      writeTimeoutMs: (settings) => moduleSettings.parse(settings).timeout,
    };
  },
};

export const WRITER_KINDS: readonly string[] = Object.keys(KINDS);

/** Loads a kind; undefined if there is none of that name. */
export async function writerKind(name: string): Promise<WriterKind | undefined> {
  return Object.hasOwn(KINDS, name) ? KINDS[name]?.() : undefined;
}
