/** What is used of `node:sqlite`, which the types of the oldest Node that we support do not know. */

export interface SqliteStatement {
  run(...values: readonly (string | number | bigint | null)[]): { readonly changes: number | bigint };
  get(...values: readonly (string | number | bigint | null)[]): Readonly<Record<string, unknown>> | undefined;
  all(...values: readonly (string | number | bigint | null)[]): Readonly<Record<string, unknown>>[];
}

export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

interface Sqlite {
  readonly DatabaseSync: new (path: string, options?: { readonly readOnly?: boolean }) => SqliteDatabase;
}

/** Opens a file. Throws where this Node has no `node:sqlite`, and what SQLite says. */
export function openSqlite(path: string, options: { readonly readOnly?: boolean } = {}): SqliteDatabase {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite') as unknown as Sqlite;
  return new DatabaseSync(path, options);
}

/** What SQLite's errors have. */
export interface SqliteFailure {
  readonly message: string;
  /** SQLite's extended result code (sqlite.org/rescode.html); absent where it was not SQLite that failed. */
  readonly errcode?: number | undefined;
}
