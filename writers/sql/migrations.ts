/**
 * The table's shape, as steps that are never changed once they are released: a database at version n runs those behind it, each once, in one
 * transaction under a lock. Which have run is in a table beside it, `<table>_migrations`; so a role that may not create tables needs to find
 * both as they should be.
 */

/** Names in SQL, quoted. */
export interface TableNames {
  /** `"audit"."events"` */
  readonly table: string;
  /** `"audit"."events_migrations"` */
  readonly migrations: string;
  /** What the names of indexes begin with in SQLite: `events`. */
  readonly prefix: string;
}

/** `table`: as the settings have it. */
export function tableNames(table: string): TableNames {
  const parts = table.split('.');
  const prefix = parts.at(-1)!;
  const quoted = (name: string): string => [...parts.slice(0, -1), name].map((part) => `"${part}"`).join('.');
  return { table: quoted(prefix), migrations: quoted(`${prefix}_migrations`), prefix };
}

type Step = (names: TableNames) => readonly string[];

/** The "C" collation: order and LIKE by bytes, the same on every machine, and no index that an update of the C library would break. */
const TEXT = 'text COLLATE "C"';

const INDEXES = [
  { name: 'collected', columns: 'collector_timestamp' },
  { name: 'received', columns: 'received_time, lane, id' },
  { name: 'type', columns: 'type, received_time' },
  { name: 'severity', columns: 'severity, received_time' },
  { name: 'source', columns: 'source_node, source_component, received_time' },
  { name: 'object', columns: 'object_kind, object_name, received_time' },
] as const;

/** What the name of the first index of SQLite ends in. */
export const FIRST_INDEX = INDEXES[0].name;

/** `json` keeps the very text, as `text` would, and has operators; `jsonb` would not: it sorts keys, makes 0.0 of -0.0 and refuses \u0000. */
export const POSTGRES_STEPS: readonly Step[] = [
  ({ table }) => [
    `CREATE TABLE ${table} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  collector_timestamp timestamptz NOT NULL,
  event_id ${TEXT} NOT NULL,
  revision bigint NOT NULL,
  type ${TEXT} NOT NULL,
  severity ${TEXT} NOT NULL,
  lane ${TEXT} NOT NULL,
  source_site ${TEXT} NOT NULL,
  source_node ${TEXT} NOT NULL,
  source_component ${TEXT} NOT NULL,
  object_kind ${TEXT},
  object_name ${TEXT},
  object_namespace ${TEXT},
  object_tenant ${TEXT},
  object_uri ${TEXT},
  count bigint NOT NULL,
  added bigint NOT NULL,
  event_time timestamptz NOT NULL,
  received_time timestamptz NOT NULL,
  payload json NOT NULL,
  UNIQUE (event_id, revision)
)`,
    // Without a name of ours: a table that was renamed away has kept the names of its indexes.
    ...INDEXES.map(({ columns }) => `CREATE INDEX ON ${table} (${columns})`),
  ],
];

/** Times are text with a fixed width, so that they sort. AUTOINCREMENT: an id is never given out again. */
export const SQLITE_STEPS: readonly Step[] = [
  ({ table, prefix }) => [
    `CREATE TABLE ${table} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  collector_timestamp TEXT NOT NULL,
  event_id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  type TEXT NOT NULL,
  severity TEXT NOT NULL,
  lane TEXT NOT NULL,
  source_site TEXT NOT NULL,
  source_node TEXT NOT NULL,
  source_component TEXT NOT NULL,
  object_kind TEXT,
  object_name TEXT,
  object_namespace TEXT,
  object_tenant TEXT,
  object_uri TEXT,
  count INTEGER NOT NULL,
  added INTEGER NOT NULL,
  event_time TEXT NOT NULL,
  received_time TEXT NOT NULL,
  payload TEXT NOT NULL,
  UNIQUE (event_id, revision)
)`,
    ...INDEXES.map(({ name, columns }) => `CREATE INDEX "${prefix}_${name}" ON ${table} (${columns})`),
  ],
];

/** What keeps a database at a version that is not known from being written to. */
export function newerThanKnown(version: number, steps: readonly Step[]): string | undefined {
  if (version <= steps.length) return undefined;
  return `its table has version ${version}, and this Fondaco knows ${steps.length}: one that is newer has been here`;
}
