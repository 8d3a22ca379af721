/**
 * The table in a PostgreSQL. A transaction is three round trips: BEGIN with its limits and the table's lock, one INSERT, COMMIT.
 *
 * The lock (an advisory one, of the transaction) makes those who write to the table come one after the other, whatever proxy they are. Without it
 * a row with a lower id could be seen after one with a higher id, and a reader that goes on from the last id that it saw would miss it.
 */
import { FondacoError } from '../../core/errors.ts';
import type { Secrets } from '../secrets.ts';
import { COLUMNS, KEY_COLUMNS, swallowedBy, type Cell, type EventRow } from './event-row.ts';
import { PRUNE_ROWS, type EventFilter, type EventStore, type Retention, type RowPlace, type StoredEvent } from './event-store.ts';
import { newerThanKnown, POSTGRES_STEPS, tableNames, type TableNames } from './migrations.ts';
import { isSessionLost, isTableGone, postgresError } from './postgres-errors.ts';
import { assertCommitted, PostgresSession, type SessionTarget, type SqlValue } from './postgres-session.ts';

/** Our advisory locks: "Fond" in the upper half, the table's oid in the lower one, or 0 for migrations. */
const LOCKS = 0x466f6e64n << 32n;
/** Sessions that are kept while nothing is to do: one for each lane, one for a replay or for retention. */
const IDLE_MAX = 3;

export interface PostgresStoreOptions {
  readonly target: SessionTarget;
  /** As the settings have it. */
  readonly table: string;
  /** How long the server may work on one statement, or wait for a lock. */
  readonly statementMs: number;
  readonly secrets: Secrets;
}

export class PostgresStore implements EventStore {
  readonly what: string;
  readonly #options: PostgresStoreOptions;
  readonly #names: TableNames;
  readonly #begin: string;
  readonly #insert: string;
  readonly #missing: string;
  readonly #sessions = new Set<PostgresSession>();
  #idle: PostgresSession[] = [];
  #isClosed = false;

  /** Connects when there is something to do. */
  constructor(options: PostgresStoreOptions) {
    const { target, table, statementMs } = options;
    const { host, port, database } = target;
    this.#options = options;
    this.#names = tableNames(table);
    this.what = `PostgreSQL ${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
    this.#begin = beginning(statementMs);
    this.#insert = insertion(this.#names.table);
    this.#missing = missing(this.#names.table);
  }

  async insert(rows: readonly EventRow[], signal: AbortSignal): Promise<void> {
    const columns = COLUMNS.map((_, i) => rows.map((row) => row[i]!));
    await this.#with(signal, { isEvents: true }, async (session) => {
      await this.#ready(session, signal);
      await session.query(`${this.#begin}; ${lockOf(this.#names.table)}`, undefined, signal);
      await this.#insertAll(session, columns, signal);
      assertCommitted(await session.query('COMMIT', undefined, signal));
    });
  }

  /** Where fewer rows are new than were sent, the others must be there: what a trigger swallows would else pass for a repeat. */
  async #insertAll(session: PostgresSession, columns: readonly Cell[][], signal: AbortSignal): Promise<void> {
    let swallowed: unknown;
    // Twice: a row that was there may have been deleted by a retention in between.
    for (let tries = 0; tries < 2; tries++) {
      const { rowCount } = await session.query(this.#insert, columns, signal);
      if (rowCount === columns[0]!.length) return;
      const { rows } = await session.query(this.#missing, columns.slice(0, KEY_COLUMNS), signal);
      if (rows.length === 0) return;
      swallowed = rows[0]!.event_id;
    }
    throw new FondacoError('REFUSED', `${this.what}: ${swallowedBy(this.#options.table, swallowed)}`);
  }

  async bound({ ageMs, rowsMax }: Retention, signal: AbortSignal): Promise<string | undefined> {
    const { table } = this.#names;
    const isOld = `collector_timestamp < now() - interval '${ageMs ?? 0} milliseconds'`;
    const isFull = `(SELECT max(id) - min(id) FROM ${table}) >= ${rowsMax ?? 0}`;
    const bounds = [
      ...(ageMs === undefined ? [] : [`(SELECT id FROM ${table} WHERE ${isOld} ORDER BY collector_timestamp DESC, id DESC LIMIT 1)`]),
      ...(rowsMax === undefined ? [] : [`(SELECT id FROM ${table} WHERE ${isFull} ORDER BY id DESC OFFSET ${rowsMax} LIMIT 1)`]),
    ];
    return this.#with(signal, { isEvents: false }, async (session) => {
      if (!(await exists(session, table, signal))) return undefined;
      await session.query(this.#begin, undefined, signal);
      const { rows } = await session.query(`SELECT greatest(${bounds.join(', ')})::text AS id`, undefined, signal);
      assertCommitted(await session.query('COMMIT', undefined, signal));
      return (rows[0]?.id as string | null) ?? undefined;
    });
  }

  async prune(bound: string, signal: AbortSignal): Promise<number> {
    const { table } = this.#names;
    const chosen = `SELECT id FROM ${table} WHERE id <= $1::bigint ORDER BY id LIMIT ${PRUNE_ROWS}`;
    return this.#with(signal, { isEvents: false }, async (session) => {
      await session.query(this.#begin, undefined, signal);
      const { rowCount } = await session.query(`DELETE FROM ${table} WHERE id IN (${chosen})`, [bound], signal);
      assertCommitted(await session.query('COMMIT', undefined, signal));
      return rowCount ?? 0;
    });
  }

  async page(filter: EventFilter, limit: number, after: RowPlace | undefined, signal: AbortSignal): Promise<readonly StoredEvent[]> {
    const { text, values } = selection(this.#names.table, filter, { limit, after });
    return this.#with(signal, { isEvents: false }, async (session) => {
      const { rows } = await session.query(text, values, signal);
      return rows as unknown as StoredEvent[];
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const idle = this.#idle.splice(0);
    for (const session of this.#sessions) if (!idle.includes(session)) session.destroy();
    await Promise.all(idle.map(async (session) => session.end()));
  }

  /**
   * Runs `work` on a session of its own. One that was idle may have lost its server meanwhile, or the table that it knew: that is no outage, so the
   * work, all of which may be done twice, begins again on a new one.
   */
  async #with<T>(signal: AbortSignal, about: { isEvents: boolean }, work: (session: PostgresSession) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#isClosed) throw new FondacoError('UNAVAILABLE', `${this.what}: this writer is closed`);
      const session = this.#fromIdle() ?? (await this.#connected(signal));
      try {
        const result = await work(session);
        this.#toIdle(session);
        return result;
      } catch (error) {
        session.destroy();
        this.#sessions.delete(session);
        if (session.isUsed && (isSessionLost(error) || isTableGone(error)) && !signal.aborted && !this.#isClosed) {
          this.#dropIdle();
          continue;
        }
        throw postgresError(error, this.what, { ...about, secrets: this.#options.secrets });
      }
    }
  }

  async #connected(signal: AbortSignal): Promise<PostgresSession> {
    try {
      const session = await PostgresSession.open(this.#options.target, signal);
      this.#sessions.add(session);
      return session;
    } catch (error) {
      throw postgresError(error, this.what, { isEvents: false, secrets: this.#options.secrets });
    }
  }

  #fromIdle(): PostgresSession | undefined {
    for (;;) {
      const session = this.#idle.pop();
      if (!session?.isGone) return session;
      this.#sessions.delete(session);
    }
  }

  #toIdle(session: PostgresSession): void {
    session.isUsed = true;
    if (!session.isGone && !this.#isClosed && this.#idle.length < IDLE_MAX) {
      this.#idle.push(session);
      return;
    }
    this.#sessions.delete(session);
    void session.end();
  }

  #dropIdle(): void {
    for (const session of this.#idle.splice(0)) {
      session.destroy();
      this.#sessions.delete(session);
    }
  }

  /** Once a session: the database is one that can hold every event, and the table is there, in our shape. */
  async #ready(session: PostgresSession, signal: AbortSignal): Promise<void> {
    if (session.isReady) return;
    const about = { isEvents: false, secrets: this.#options.secrets };
    try {
      const { rows } = await session.query('SHOW server_encoding', undefined, signal);
      if (rows[0]?.server_encoding !== 'UTF8') {
        throw new FondacoError('REFUSED', `${this.what} must be a database in UTF8, got ${String(rows[0]?.server_encoding)}`);
      }
      await this.#migrate(session, signal);
    } catch (error) {
      if (isSessionLost(error)) throw error;
      throw postgresError(error, this.what, about);
    }
    session.isReady = true;
  }

  async #migrate(session: PostgresSession, signal: AbortSignal): Promise<void> {
    const { migrations } = this.#names;
    if (this.#isLatest(await this.#version(session, signal))) return;
    await session.query(`${this.#begin}; SELECT pg_advisory_xact_lock(${LOCKS})`, undefined, signal);
    // Whoever had the lock before may have done it all.
    const from = await this.#version(session, signal);
    if (!this.#isLatest(from)) {
      const made = 'version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now()';
      if (from === 0) await session.query(`CREATE TABLE IF NOT EXISTS ${migrations} (${made})`, undefined, signal);
      for (let version = from + 1; version <= POSTGRES_STEPS.length; version++) {
        for (const statement of POSTGRES_STEPS[version - 1]!(this.#names)) await session.query(statement, undefined, signal);
        await session.query(`INSERT INTO ${migrations} (version) VALUES (${version}) ON CONFLICT DO NOTHING`, undefined, signal);
      }
    }
    assertCommitted(await session.query('COMMIT', undefined, signal));
  }

  /** Throws REFUSED for one that is newer. */
  #isLatest(version: number): boolean {
    const newer = newerThanKnown(version, POSTGRES_STEPS);
    if (newer !== undefined) throw new FondacoError('REFUSED', `${this.what}: ${newer}`);
    return version === POSTGRES_STEPS.length;
  }

  /** 0 where no table is ours yet, or it was renamed away or dropped. */
  async #version(session: PostgresSession, signal: AbortSignal): Promise<number> {
    const { table, migrations } = this.#names;
    if (!(await exists(session, migrations, signal))) return 0;
    const { rows } = await session.query(`SELECT coalesce(max(version), 0) AS version FROM ${migrations}`, undefined, signal);
    const version = Number(rows[0]?.version);
    return version > POSTGRES_STEPS.length || (await exists(session, table, signal)) ? version : 0;
  }
}

/** Reads pg_class, so that the server looks at what others have committed since this transaction began; to_regclass alone does not. */
async function exists(session: PostgresSession, name: string, signal: AbortSignal): Promise<boolean> {
  const { rows } = await session.query('SELECT 1 FROM pg_class WHERE oid = to_regclass($1)', [name], signal);
  return rows.length > 0;
}

/**
 * SET LOCAL holds for the transaction, also through a pooler. A session that nobody drives any more gives its lock back; a commit is durable
 * also where the server's default is that it need not be.
 */
function beginning(statementMs: number): string {
  return [
    'BEGIN ISOLATION LEVEL READ COMMITTED',
    `SET LOCAL statement_timeout = ${statementMs}`,
    `SET LOCAL idle_in_transaction_session_timeout = ${statementMs}`,
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'",
  ].join('; ');
}

function lockOf(table: string): string {
  return `SELECT pg_advisory_xact_lock(${LOCKS} + '${table}'::regclass::oid::bigint)`;
}

/** One array a column, so that a batch of any size is one statement. The time is that of the statement, which has the lock; it never goes back. */
function insertion(table: string): string {
  const names = COLUMNS.map(({ name }) => `"${name}"`).join(', ');
  const arrays = COLUMNS.map(({ type }, i) => `$${i + 1}::${type}[]`).join(', ');
  const last = `(SELECT collector_timestamp FROM ${table} ORDER BY id DESC LIMIT 1)`;
  return (
    `INSERT INTO ${table} (collector_timestamp, ${names}) SELECT greatest(statement_timestamp(), ${last}), ${names} ` +
    `FROM unnest(${arrays}) WITH ORDINALITY AS given (${names}, place) ORDER BY place ON CONFLICT (event_id, revision) DO NOTHING`
  );
}

/** Of what was sent, by its key, the rows that are not there; one is enough to know. */
function missing(table: string): string {
  return (
    'SELECT event_id FROM unnest($1::text[], $2::bigint[]) AS given (event_id, revision) WHERE NOT EXISTS ' +
    `(SELECT FROM ${table} AS t WHERE t.event_id = given.event_id AND t.revision = given.revision) LIMIT 1`
  );
}

function selection(
  table: string,
  filter: EventFilter,
  { limit, after }: { limit: number; after: RowPlace | undefined },
): { text: string; values: SqlValue[] } {
  const values: SqlValue[] = [];
  const wanted: string[] = [];
  const want = (condition: (place: string) => string, value: SqlValue | undefined): void => {
    if (value === undefined) return;
    values.push(value);
    wanted.push(condition(`$${values.length}`));
  };
  want((at) => `type LIKE ${at}`, filter.type?.replaceAll(/[\\%_]/g, '\\$&').replaceAll('*', '%'));
  want((at) => `severity = ANY (${at}::text[])`, filter.severities);
  want((at) => `source_node = ${at}`, filter.node);
  want((at) => `source_component = ${at}`, filter.component);
  want((at) => `lane = ${at}`, filter.lane);
  want((at) => `received_time >= ${at}::timestamptz`, filter.since);
  want((at) => `received_time < ${at}::timestamptz`, filter.until);
  if (after) {
    const first = values.push(after.receivedTime, after.lane, after.id) - 2;
    wanted.push(`(received_time, lane, id) < ($${first}::timestamptz, $${first + 1}, $${first + 2}::bigint)`);
  }
  const received = `to_char(received_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
  const where = wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`;
  const columns = `${received} AS "receivedTime", lane, id::text AS id, payload::text AS payload`;
  // The column: `id` alone would be the text.
  const order = `ORDER BY received_time DESC, lane DESC, event.id DESC LIMIT ${limit}`;
  return { text: `SELECT ${columns} FROM ${table} AS event ${where} ${order}`, values };
}
