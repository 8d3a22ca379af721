/** The table in a file of SQLite, as far as it is not a matter of threads: each order is one transaction. */
import { COLUMNS, KEY_COLUMNS, swallowedBy, type EventRow } from './event-row.ts';
import { PRUNE_ROWS, type EventFilter, type RowPlace, type StoredEvent } from './event-store.ts';
import { FIRST_INDEX, newerThanKnown, SQLITE_STEPS, tableNames, type TableNames } from './migrations.ts';
import { openSqlite, type SqliteDatabase } from './node-sqlite.ts';
import type { SqliteOrder, SqlitePlace } from './sqlite-orders.ts';

export class SqliteTable {
  readonly #place: SqlitePlace;
  readonly #names: TableNames;
  #database: SqliteDatabase | undefined;
  #isReady = false;

  constructor(place: SqlitePlace) {
    this.#place = place;
    this.#names = tableNames(place.table);
  }

  /** Throws what SQLite says; the file is closed then, and opened again by the next order. */
  run(order: SqliteOrder): unknown {
    try {
      return this.#do(order);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  #do(order: SqliteOrder): unknown {
    switch (order.do) {
      case 'insert':
        return void this.#insert(order.rows, order.now);
      case 'bound':
        return this.#bound(order.before, order.rowsMax);
      case 'prune':
        return this.#prune(order.bound);
      case 'page':
        return this.#page(order.filter, order.limit, order.after);
      case 'close':
        return void this.#close();
    }
  }

  #insert(rows: readonly EventRow[], now: string): void {
    const { table } = this.#names;
    const database = this.#open();
    const names = COLUMNS.map(({ name }) => `"${name}"`).join(', ');
    this.#transaction(database, () => {
      this.#migrate(database);
      const last = database.prepare(`SELECT collector_timestamp AS at FROM ${table} ORDER BY id DESC LIMIT 1`).get()?.at as
        string | undefined;
      const at = last !== undefined && last > now ? last : now;
      // Not INSERT OR IGNORE, which would pass over every constraint that a row breaks.
      const places = `?, ${COLUMNS.map(() => '?').join(', ')}`;
      const insert = database.prepare(
        `INSERT INTO ${table} (collector_timestamp, ${names}) VALUES (${places}) ON CONFLICT (event_id, revision) DO NOTHING`,
      );
      const find = database.prepare(`SELECT 1 FROM ${table} WHERE event_id = ? AND revision = ?`);
      for (const row of rows) {
        if (Number(insert.run(at, ...row).changes) > 0 || find.get(...row.slice(0, KEY_COLUMNS)) !== undefined) continue;
        throw new Error(swallowedBy(this.#place.table, row[0]));
      }
    });
    this.#isReady = true;
  }

  #bound(before: string | undefined, rowsMax: number | undefined): string | undefined {
    const { table } = this.#names;
    const database = this.#open();
    if (!this.#isThere(database, table)) return undefined;
    const idOf = (sql: string, ...values: (string | number)[]): bigint =>
      BigInt((database.prepare(sql).get(...values)?.digits as string) ?? 0);
    const text = `SELECT CAST(id AS TEXT) AS digits FROM ${table}`;
    const old =
      before === undefined ? 0n : idOf(`${text} WHERE collector_timestamp < ? ORDER BY collector_timestamp DESC, id DESC LIMIT 1`, before);
    const isFull = `(SELECT max(id) - min(id) FROM ${table}) >= ?`;
    const many = rowsMax === undefined ? 0n : idOf(`${text} WHERE ${isFull} ORDER BY id DESC LIMIT 1 OFFSET ?`, rowsMax, rowsMax);
    const bound = old > many ? old : many;
    return bound === 0n ? undefined : String(bound);
  }

  #prune(bound: string): number {
    const { table } = this.#names;
    const chosen = `SELECT id FROM ${table} WHERE id <= CAST(? AS INTEGER) ORDER BY id LIMIT ${PRUNE_ROWS}`;
    const { changes } = this.#open().prepare(`DELETE FROM ${table} WHERE id IN (${chosen})`).run(bound);
    return Number(changes);
  }

  #page(filter: EventFilter, limit: number, after: RowPlace | undefined): StoredEvent[] {
    const values: string[] = [];
    const wanted: string[] = [];
    const want = (condition: string, ...given: (string | undefined)[]): void => {
      if (given.some((value) => value === undefined)) return;
      values.push(...(given as string[]));
      wanted.push(condition);
    };
    // Types have none of GLOB's other signs.
    want('type GLOB ?', filter.type);
    if (filter.severities) want(`severity IN (${filter.severities.map(() => '?').join(', ')})`, ...filter.severities);
    want('source_node = ?', filter.node);
    want('source_component = ?', filter.component);
    want('lane = ?', filter.lane);
    want('received_time >= ?', filter.since);
    want('received_time < ?', filter.until);
    want('(received_time, lane, id) < (?, ?, CAST(? AS INTEGER))', after?.receivedTime, after?.lane, after?.id);
    const where = wanted.length === 0 ? '' : `WHERE ${wanted.join(' AND ')}`;
    const columns = 'received_time AS "receivedTime", lane, CAST(id AS TEXT) AS id, payload';
    // The column: `id` alone would be the text.
    const order = `ORDER BY received_time DESC, lane DESC, event.id DESC LIMIT ${limit}`;
    const rows = this.#open()
      .prepare(`SELECT ${columns} FROM ${this.#names.table} AS event ${where} ${order}`)
      .all(...values);
    // SQLite's objects have no prototype, which other threads do not mind, and tests do.
    return rows.map((row) => ({ ...row }) as unknown as StoredEvent);
  }

  /** WAL, so that readers and the writer do not wait for each other; FULL, so that what was committed is on the disk. */
  #open(): SqliteDatabase {
    const { file, readOnly, busyMs } = this.#place;
    if (this.#database) return this.#database;
    const database = openSqlite(file, { readOnly });
    this.#database = database;
    database.exec(`PRAGMA busy_timeout = ${busyMs}`);
    if (!readOnly) database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    return database;
  }

  #close(): void {
    this.#database?.close();
    this.#database = undefined;
    this.#isReady = false;
  }

  #transaction(database: SqliteDatabase, work: () => void): void {
    database.exec('BEGIN IMMEDIATE');
    work();
    database.exec('COMMIT');
  }

  #migrate(database: SqliteDatabase): void {
    const { table, migrations } = this.#names;
    const isThere = this.#isThere(database, table);
    if (this.#isReady && isThere) return;
    const version = this.#isThere(database, migrations)
      ? Number(database.prepare(`SELECT coalesce(max(version), 0) AS version FROM ${migrations}`).get()?.version)
      : 0;
    const newer = newerThanKnown(version, SQLITE_STEPS);
    if (newer !== undefined) throw new Error(newer);
    const from = isThere ? version : 0;
    if (from === 0) {
      const applied = `applied TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))`;
      database.exec(`CREATE TABLE IF NOT EXISTS ${migrations} (version INTEGER PRIMARY KEY, ${applied})`);
    }
    const names = { ...this.#names, prefix: this.#freePrefix(database) };
    for (let step = from + 1; step <= SQLITE_STEPS.length; step++) {
      for (const statement of SQLITE_STEPS[step - 1]!(names)) database.exec(statement);
      database.exec(`INSERT INTO ${migrations} (version) VALUES (${step}) ON CONFLICT DO NOTHING`);
    }
  }

  /** A table that was renamed has kept the names of its indexes. */
  #freePrefix(database: SqliteDatabase): string {
    const { prefix } = this.#names;
    const find = database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ? COLLATE NOCASE");
    for (let number = 1; ; number++) {
      const free = number === 1 ? prefix : `${prefix}_${number}`;
      if (find.get(`${free}_${FIRST_INDEX}`) === undefined) return free;
    }
  }

  /** `name`: quoted. */
  #isThere(database: SqliteDatabase, name: string): boolean {
    return (
      database.prepare("SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?").get(name.slice(1, -1)) !== undefined
    );
  }
}
