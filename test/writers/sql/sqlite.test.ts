/** The sql writer and a file of SQLite, where this Node has it. */
import { assert } from 'chai';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { systemClock } from '../../../core/clock.ts';
import { nativeJson } from '../../../writers/native-json.ts';
import { openSqlite, type SqliteDatabase } from '../../../writers/sql/node-sqlite.ts';
import { openStore } from '../../../writers/sql/open-store.ts';
import { missingSqlite, sqlSettings } from '../../../writers/sql/settings.ts';
import { SqlWriter, type SqlParts } from '../../../writers/sql/writer.ts';
import { failure, writerContract } from '../../contract/writer-contract.ts';
import { deliveries, eventOf, largeLine, nastyLines, plainLines } from '../../support/deliveries.ts';
import { fastClock } from '../../support/fast-clock.ts';
import { receivedOf } from '../../support/from-sql.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

type Settings = z.input<typeof sqlSettings>;

const never = new AbortController().signal;
const isMissing = missingSqlite() !== undefined;
const title = 'sql writer and SQLite';

(isMissing ? describe.skip : describe)(isMissing ? `${title} (needs a Node with node:sqlite: npm run test:node24)` : title, function () {
  this.timeout(60_000);
  let folder: { path: string; remove: () => Promise<void> };
  let file: string;
  const closing: (() => Promise<void> | void)[] = [];

  beforeEach(async () => {
    folder = await tempDirectory();
    file = join(folder.path, 'events.db');
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await folder.remove();
  });

  const open = async (settings: Settings = {}, parts: Partial<SqlParts> = {}): Promise<SqlWriter> => {
    const writer = await SqlWriter.open(sqlSettings.parse({ path: file, ...settings }), parts);
    closing.push(async () => writer.close());
    return writer;
  };
  /** Another process's hand on the file. */
  const other = (): SqliteDatabase => {
    const database = openSqlite(file);
    closing.push(() => database.close());
    return database;
  };
  const batchOf = (from: number, to: number): ReturnType<typeof deliveries> =>
    deliveries(
      plainLines(from, to).map((line, i) => eventOf(line, from + i)),
      { first: from },
    );
  const count = (table = 'events'): number => Number(other().prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);

  writerContract('sql, SQLite', {
    resend: 'once',
    open: tempDirectory,
    openWriter: async ({ path }) => SqlWriter.open(sqlSettings.parse({ path: join(path, 'events.db') })),
    payloads: ({ path }) => rowsOf(path),
    received: ({ path }) => rowsOf(path).map(receivedOf),
    hang: ({ path }) => {
      holding = openSqlite(join(path, 'events.db'));
      holding.exec('BEGIN EXCLUSIVE');
    },
    recover: letGo,
    close: async ({ remove }) => {
      letGo();
      await remove();
    },
  });

  let holding: SqliteDatabase | undefined;
  function letGo(): void {
    holding?.close();
    holding = undefined;
  }

  /** None before the first write, which makes the table. */
  function rowsOf(path: string): string[] {
    if (!existsSync(join(path, 'events.db'))) return [];
    const reader = openSqlite(join(path, 'events.db'));
    try {
      if (reader.prepare("SELECT name FROM sqlite_master WHERE name = 'events'").all().length === 0) return [];
      return reader
        .prepare('SELECT payload FROM events ORDER BY id')
        .all()
        .map(({ payload }) => String(payload));
    } finally {
      reader.close();
    }
  }

  it('keeps the very bytes of the native JSON, and what is searched by beside them', async () => {
    const lines = [
      ...nastyLines(),
      largeLine(),
      '{"type":"a.B","severity":"info","message":"","time":"0001-01-01T00:00:00.5Z","object":{"name":"a\\u0000b"}}',
    ];
    const batch = deliveries(lines.map((line, i) => eventOf(line, i + 1)));
    await (await open()).write(batch, never);
    const rows = other().prepare('SELECT * FROM events ORDER BY id').all();
    assert.deepEqual(
      rows.map(({ payload }) => payload),
      batch.map(nativeJson),
    );
    const { event_time, received_time, object_name, count: times, severity } = rows.at(-1)!;
    assert.deepEqual(
      [event_time, received_time, object_name, times, severity],
      ['0001-01-01T00:00:00.500000Z', '2026-11-22T08:00:01.500000Z', 'a\u2400b', 1, 'info'],
    );
  });

  it('has each event once, and ids and timestamps that ascend, with two writers and a clock that is set back', async () => {
    const clock = systemClock();
    const [ahead, behind] = await Promise.all([open({}, { clock: { ...clock, now: () => clock.now() + 3_600_000 } }), open({}, { clock })]);
    await ahead.write(batchOf(1, 50), never);
    await Promise.all([ahead.write(batchOf(41, 100), never), behind.write(batchOf(31, 120), never)]);
    const rows = other().prepare('SELECT id, collector_timestamp AS at, event_id FROM events ORDER BY id').all();
    assert.lengthOf(rows, 120);
    assert.lengthOf(new Set(rows.map(({ event_id }) => event_id)), 120);
    assert.isTrue(rows.every(({ at }, i) => i === 0 || String(rows[i - 1]!.at) <= String(at)));
    assert.deepEqual(other().prepare('SELECT version FROM events_migrations').all().length, 1);
  });

  it('is synced at each commit, and a journal beside the file lets others read meanwhile', async () => {
    await (await open()).write(batchOf(1, 5), never);
    assert.equal(other().prepare('PRAGMA journal_mode').get()?.journal_mode, 'wal');
    assert.isTrue(existsSync(`${file}-wal`));
  });

  it('says what is wrong: with the directory, the file, the table, and with somebody who keeps it', async () => {
    const codes = async (settings: Settings): Promise<[string, string | undefined]> => {
      const { code, facts } = await failure((await open(settings)).write(batchOf(1, 1), never));
      return [code, facts.status];
    };
    assert.deepEqual(await codes({ path: join(folder.path, 'nowhere', 'events.db') }), ['REFUSED', 'SQLite 14']);
    writeFileSync(
      join(folder.path, 'text.db'),
      'no database, but a text of more than a hundred characters, so that there is something to look at'.repeat(9),
    );
    assert.deepEqual(await codes({ path: join(folder.path, 'text.db') }), ['REFUSED', 'SQLite 26']);
    const hand = other();
    hand.exec('CREATE TABLE events (id INTEGER)');
    assert.deepEqual(await codes({}), ['REFUSED', 'SQLite 1']);
    hand.exec('BEGIN IMMEDIATE');
    assert.deepEqual(await codes({ table: 'later' }), ['UNAVAILABLE', 'SQLite 5']);
    hand.exec('ROLLBACK');
    await (await open({ table: 'later' })).write(batchOf(1, 2), never);
    hand.exec("CREATE TRIGGER picky BEFORE INSERT ON later WHEN NEW.event_id LIKE '%-7' BEGIN SELECT RAISE(ABORT, 'not that one'); END");
    const { code, message } = await failure((await open({ table: 'later' })).write(batchOf(5, 9), never));
    assert.equal(code, 'REJECTED');
    assert.include(message, 'not that one');
    assert.equal(count('later'), 2);
    hand.exec('INSERT INTO later_migrations (version) VALUES (2)');
    assert.include((await failure((await open({ table: 'later' })).write(batchOf(5, 5), never))).message, 'its table has version 2');
  });

  it('a trigger that swallows rows: REFUSED, and nothing of the batch is there; repeats are none', async () => {
    const writer = await open();
    await writer.write(batchOf(1, 2), never);
    other().exec("CREATE TRIGGER swallow BEFORE INSERT ON events WHEN NEW.event_id LIKE '%-7' BEGIN SELECT RAISE(IGNORE); END");
    const { code, message } = await failure(writer.write(batchOf(2, 9), never));
    assert.equal(code, 'REFUSED');
    assert.match(message, /events must .* of event .*-7: a trigger, a rule or a policy of the table swallows rows/);
    assert.equal(count(), 2);
    other().exec('DROP TRIGGER swallow');
    await writer.write([...batchOf(2, 9), ...batchOf(9, 9)], never);
    assert.equal(count(), 9);
  });

  it('makes its table anew where it was renamed away or dropped, also while it writes, and leaves the archive as it is', async () => {
    const writer = await open();
    for (const year of [2024, 2025]) {
      await writer.write(batchOf(1, 10), never);
      other().exec(`ALTER TABLE events RENAME TO events_${year}`);
      await writer.write(batchOf(11, 12), never);
      assert.deepEqual([count(), count(`events_${year}`)], [2, year === 2024 ? 10 : 12]);
    }
    other().exec('DROP TABLE events');
    await (await open()).write(batchOf(1, 3), never);
    assert.equal(count(), 3);
    const indexes = other()
      .prepare("SELECT tbl_name, count(*) AS n FROM sqlite_master WHERE type = 'index' AND sql NOT NULL GROUP BY 1")
      .all();
    assert.deepEqual(
      indexes.map(({ n }) => n),
      [6, 6, 6],
    );
  });

  it('a full disk: UNAVAILABLE, nothing of the batch is there, and it goes on when there is room', async function () {
    const disk = SmallDisk.mount(join(folder.path, 'small'), 4 * 1024 * 1024);
    if (!disk) return this.skip();
    closing.push(() => disk.unmount());
    file = join(disk.directory, 'events.db');
    const writer = await open();
    await writer.write(batchOf(1, 1), never);
    disk.fill(64 * 1024);
    const { code, facts } = await failure(writer.write(batchOf(2, 1001), never));
    assert.deepEqual([code, facts.status], ['UNAVAILABLE', 'SQLite 13']);
    disk.empty();
    assert.equal(count(), 1);
    await writer.write(batchOf(2, 1001), never);
    assert.equal(count(), 1001);
  });

  it('deletes what is beyond the retention', async () => {
    const writer = await open({ retention: { rowsMax: 500, age: '365d' } }, { clock: fastClock(600) });
    for (let from = 1; from <= 3000; from += 500) await writer.write(batchOf(from, from + 499), never);
    await until('500 are left', () => count() === 500, 60_000);
    other().exec("UPDATE events SET collector_timestamp = '2020-01-01T00:00:00.000000Z' WHERE id <= 2600");
    await until('400 are left', () => count() === 400, 60_000);
  });

  it('reads back newest first, in pages, by every filter', async () => {
    const line = (i: number): string =>
      JSON.stringify({
        type: i % 2 === 0 ? 'disk.Full' : 'disk_Full',
        severity: i % 3 === 0 ? 'error' : 'info',
        message: `m${i}`,
        source: { node: `n${i % 4}` },
      });
    const events = Array.from({ length: 30 }, (_, i) => eventOf(line(i), i + 1));
    for (const [i, event] of events.entries()) event.receivedTime = new Date(Date.UTC(2026, 10, 22, 8, 0, Math.floor(i / 7))).toISOString();
    await (await open()).write(deliveries(events), never);
    const store = openStore(sqlSettings.parse({ path: file }), { clock: systemClock(), directory: '/', readOnly: true });
    closing.push(async () => store.close());
    const first = await store.page({}, 20, undefined, never);
    const rest = await store.page({}, 20, first.at(-1), never);
    const numbers = [...first, ...rest].map(({ payload }) => Number((JSON.parse(payload) as { message: string }).message.slice(1)));
    assert.deepEqual(
      numbers,
      events.map((_, i) => 29 - i),
    );
    const found = async (filter: object): Promise<number> => (await store.page(filter, 100, undefined, never)).length;
    assert.equal(await found({ type: 'disk.*' }), 15);
    assert.equal(await found({ severities: ['error', 'critical'] }), 10);
    assert.equal(await found({ node: 'n1' }), 8);
    assert.equal(await found({ lane: 'urgent' }), 0);
    assert.equal(await found({ since: '2026-11-22T08:00:01.000000Z', until: '2026-11-22T08:00:03.000000Z' }), 14);
  });
});
