import { resolve } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { EventStore } from './event-store.ts';
import { PostgresStore } from './postgres-store.ts';
import { connectMs, postgresPlace, secretsOf, type SqlSettings } from './settings.ts';
import { SqliteStore } from './sqlite-store.ts';

export interface StoreParts {
  readonly clock: Clock;
  /** What relative paths of the settings are relative to. */
  readonly directory: string;
  /** For `page` alone. */
  readonly readOnly?: boolean;
}

/** The table that settings name. Nothing is opened yet. */
export function openStore(settings: SqlSettings, { clock, directory, readOnly = false }: StoreParts): EventStore {
  const { path, table, tls, timeout } = settings;
  if (path !== undefined) return new SqliteStore({ file: resolve(directory, path), table, readOnly }, clock);
  const target = { ...postgresPlace(settings), tls, directory, connectMs: connectMs(settings) };
  return new PostgresStore({ target, table, statementMs: timeout, secrets: secretsOf(settings) });
}
