/** The kinds of writer that a config may name. A kind's module, and the packages it needs, are loaded when it is configured. */
import type { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import type { Writer } from '../core/writer.ts';
import type { Terminal } from '../writers/console.ts';

/** What a writer may need of its process. */
export interface WriterParts {
  readonly clock: Clock;
  /** Where a console writer writes. */
  readonly stdout: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface WriterKind {
  /** Its settings, beside the keys that every writer has. */
  readonly shape: z.ZodRawShape;
  /** Opens a writer with settings as they are written in the config, checked before. */
  readonly open: (settings: unknown, parts: WriterParts) => Promise<Writer>;
  /** How long one write may take before it is aborted, ms: longer than any limit of the writer's own. */
  readonly writeTimeoutMs: (settings: unknown) => number;
}

const KINDS: Readonly<Record<string, () => Promise<WriterKind>>> = {
  http: async () => {
    const { HttpWriter, httpSettings } = await import('../writers/http.ts');
    return {
      shape: httpSettings.shape,
      open: async (settings, parts) => HttpWriter.open(httpSettings.parse(settings), parts),
      writeTimeoutMs: (settings) => httpSettings.parse(settings).timeout + 5000,
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
};

export const WRITER_KINDS: readonly string[] = Object.keys(KINDS);

/** Loads a kind; undefined if there is none of that name. */
export async function writerKind(name: string): Promise<WriterKind | undefined> {
  return Object.hasOwn(KINDS, name) ? KINDS[name]?.() : undefined;
}
