/// <reference types="node" preserve="true" />
/** A table of events in PostgreSQL or SQLite: one transaction a batch, and an event that is there already is not written again. */
import { systemClock, type Clock } from '../../core/clock.ts';
import type { WriterLogger } from '../../core/define-writer.ts';
import { FondacoError } from '../../core/errors.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { Stop } from '../stop.ts';
import { loadTls } from '../tls-files.ts';
import { eventRow } from './event-row.ts';
import type { EventStore } from './event-store.ts';
import { openStore } from './open-store.ts';
import { runRetention } from './retention.ts';
import type { SqlSettings } from './settings.ts';

export interface SqlParts {
  readonly clock: Clock;
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
  /** Is told what the retention deletes. */
  readonly logger: WriterLogger;
}

const ignore = (): void => undefined;
const SILENT: WriterLogger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

export class SqlWriter implements Writer {
  readonly #store: EventStore;
  readonly #limits: { readonly totalMs: number; readonly headersMs: number };
  readonly #ending = new AbortController();
  readonly #retaining: Promise<void>;

  /** Opens no connection and no file: the first write does. Rejects REFUSED where the TLS files cannot be used. */
  static async open(settings: SqlSettings, parts: Partial<SqlParts> = {}): Promise<SqlWriter> {
    const all = { clock: systemClock(), directory: process.cwd(), logger: SILENT, ...parts };
    if (settings.tls) await loadTls(settings.tls, all.directory);
    return new SqlWriter(settings, all);
  }

  private constructor(settings: SqlSettings, parts: SqlParts) {
    const { timeout, retention } = settings;
    this.#store = openStore(settings, parts);
    this.#limits = { totalMs: timeout, headersMs: timeout };
    const { clock, logger } = parts;
    const limits = { ageMs: retention?.age, rowsMax: retention?.rowsMax };
    this.#retaining = retention
      ? runRetention({ store: this.#store, retention: limits, clock, logger }, this.#ending.signal)
      : Promise.resolve();
  }

  async write(batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    if (batch.length === 0) return;
    const { what } = this.#store;
    if (signal.aborted) throw new FondacoError('UNAVAILABLE', `${what} was stopped`);
    const rows = batch.map(eventRow);
    const stop = new Stop(signal, this.#limits);
    try {
      await this.#store.insert(rows, stop.signal);
    } catch (error) {
      if (stop.why === 'stopped') throw new FondacoError('UNAVAILABLE', `${what} was stopped`, { cause: error });
      if (stop.why !== undefined) throw new FondacoError('UNAVAILABLE', `${what} must commit within ${stop.limit}`, { cause: error });
      throw error;
    } finally {
      stop.clear();
    }
  }

  /** Ends what is under way. May be called more than once. */
  async close(): Promise<void> {
    this.#ending.abort();
    await this.#store.close();
    await this.#retaining;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
