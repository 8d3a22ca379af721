/** The sql writer and a real PostgreSQL. */
import { assert } from 'chai';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import { nativeJson } from '../../../writers/native-json.ts';
import { openStore } from '../../../writers/sql/open-store.ts';
import { sqlSettings } from '../../../writers/sql/settings.ts';
import { SqlWriter, type SqlParts } from '../../../writers/sql/writer.ts';
import { systemClock } from '../../../core/clock.ts';
import { failure, writerContract } from '../../contract/writer-contract.ts';
import { Authority, missingOpenssl, type Issued } from '../../support/certificates.ts';
import { deliveries, eventOf, largeLine, nastyLines, plainLines } from '../../support/deliveries.ts';
import { fastClock } from '../../support/fast-clock.ts';
import { receivedOf } from '../../support/from-sql.ts';
import { missingPostgres, PASSWORD, PostgresServer } from '../../support/postgres-server.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { tapHooks, type Tapped } from '../../support/tap-hooks.ts';
import { TcpRelay } from '../../support/tcp-relay.ts';
import { TcpTap } from '../../support/tcp-tap.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

type Settings = z.input<typeof sqlSettings>;

const never = new AbortController().signal;
const missing = missingPostgres() ?? missingOpenssl();
const title = 'sql writer and PostgreSQL';

(missing === undefined ? describe : describe.skip)(missing === undefined ? title : `${title} (${missing})`, function () {
  this.timeout(120_000);
  let folder: { path: string; remove: () => Promise<void> };
  let server: PostgresServer;
  let client: Issued;
  let ca: string;
  let tables = 0;
  const closing: (() => Promise<void> | void)[] = [];

  before(async () => {
    folder = await tempDirectory();
    const authority = new Authority(folder.path);
    ca = authority.ca;
    client = authority.issue('client');
    const certificates = { ca, server: authority.issue('server', { names: 'DNS:db.example' }) };
    server = await PostgresServer.start({ certificates });
  });
  after(async () => {
    await server?.end();
    await folder?.remove();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const newTable = (): string => `events_${++tables}`;
  const open = async (settings: Settings = {}, parts: Partial<SqlParts> = {}): Promise<SqlWriter> => {
    const writer = await SqlWriter.open(sqlSettings.parse({ url: server.url, password: PASSWORD, ...settings }), parts);
    closing.push(async () => writer.close());
    return writer;
  };
  const relayed = async (): Promise<{ relay: TcpRelay; url: string }> => {
    const relay = await TcpRelay.open(server.port);
    closing.push(async () => relay.close());
    return { relay, url: `postgres://fondaco@127.0.0.1:${relay.port}/events` };
  };
  const batchOf = (from: number, to: number): ReturnType<typeof deliveries> =>
    deliveries(
      plainLines(from, to).map((line, i) => eventOf(line, from + i)),
      { first: from },
    );
  const payloads = async (table: string, ids?: readonly string[]): Promise<string[]> => {
    const where = ids === undefined ? '' : `WHERE event_id IN (${ids.map((id) => `'${id}'`).join(', ')})`;
    const rows = await server.asAdmin<{ text: string }>(`SELECT payload::text AS text FROM ${table} ${where} ORDER BY id`);
    return rows.map(({ text }) => text);
  };
  const count = async (table: string): Promise<number> =>
    Number((await server.asAdmin<{ count: string }>(`SELECT count(*) FROM ${table}`))[0]!.count);

  writerContract('sql, PostgreSQL', {
    ...tapHooks<Tapped & { readonly table: string }>(hasCommitted),
    resend: 'once',
    open: async () => ({ table: newTable(), tap: await TcpTap.open(server.port) }),
    openWriter: async ({ table, tap }) =>
      SqlWriter.open(sqlSettings.parse({ url: `postgres://fondaco@${tap.address}/events`, password: PASSWORD, table })),
    payloads: async ({ table }) => rowsOf(table),
    received: async ({ table }) => (await rowsOf(table)).map(receivedOf),
    openUnreachable: async () => {
      const relay = await TcpRelay.open(server.port);
      const { port } = relay;
      await relay.close();
      return SqlWriter.open(sqlSettings.parse({ url: `postgres://fondaco@127.0.0.1:${port}/events`, password: PASSWORD }));
    },
  });

  function hasCommitted(sent: Buffer): boolean {
    const event = sent.indexOf('test.Tick');
    return event >= 0 && sent.includes('COMMIT', event);
  }

  /** None before the first write, which makes the table. */
  async function rowsOf(table: string): Promise<string[]> {
    const [found] = await server.asAdmin<{ name: string | null }>(`SELECT to_regclass('${table}')::text AS name`);
    return found?.name === null ? [] : payloads(table);
  }

  it('keeps the very bytes of the native JSON, and what is searched by beside them', async () => {
    const table = newTable();
    const writer = await open({ table });
    const lines = [...nastyLines(), largeLine(), lineAt('0001-01-01T00:00:00Z'), lineAt('9999-12-31T23:59:59.999999999Z')];
    const batch = deliveries(lines.map((line, i) => eventOf(line, i + 1, { region: 'eu' })));
    await writer.write(batch, never);
    assert.deepEqual(await payloads(table), batch.map(nativeJson));
    const [row] = await server.asAdmin(
      `SELECT event_id, revision, type, severity, lane, source_site, source_node, source_component, count, added,
        to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') AS time, received_time = '2026-11-22T08:00:01.5Z' AS received,
        now() - collector_timestamp < interval '1 minute' AS "isNew", pg_typeof(collector_timestamp)::text AS stamp
       FROM ${table} WHERE event_id = '${batch.at(-2)!.event.id}'`,
    );
    assert.deepEqual(row, {
      event_id: batch.at(-2)!.event.id,
      revision: '0',
      type: 'a.B',
      severity: 'info',
      lane: 'normal',
      source_site: 'plant-7',
      source_node: 'n1',
      source_component: 'test',
      count: '1',
      added: '1',
      time: '0001-01-01 00:00:00.000000',
      received: true,
      isNew: true,
      stamp: 'timestamp with time zone',
    });
  });

  it('takes what a text column cannot hold, and keeps it in the payload', async () => {
    const table = newTable();
    const event = eventOf(
      '{"type":"a.B","severity":"info","message":"m\\u0000","object":{"name":"a\\u0000b"},"attributes":{"\\u0000":"\\u0000","n":-0.0,"n2":1e5}}',
    );
    const batch = deliveries([event]);
    await (await open({ table })).write(batch, never);
    assert.deepEqual(await server.asAdmin(`SELECT object_name, payload::text AS payload FROM ${table}`), [
      { object_name: 'a\u2400b', payload: nativeJson(batch[0]!) },
    ]);
  });

  it('has one row where the answer to COMMIT was lost, and where a batch comes again in another cut', async () => {
    const table = newTable();
    const { relay, url } = await relayed();
    const writer = await open({ url, table });
    relay.losesAnswerTo = (piece) => piece.includes('COMMIT') && piece.length < 100;
    // The first COMMIT is that of the migration.
    assert.equal((await failure(writer.write(batchOf(1, 50), never))).code, 'UNAVAILABLE');
    assert.equal((await failure(writer.write(batchOf(1, 50), never))).code, 'UNAVAILABLE');
    relay.losesAnswerTo = () => false;
    assert.equal(await count(table), 50);
    await writer.write(batchOf(1, 20), never);
    await writer.write(batchOf(10, 60), never);
    assert.deepEqual(
      (await payloads(table)).map((text) => (JSON.parse(text) as { message: string }).message),
      plainLines(1, 60).map((line) => (JSON.parse(line) as { message: string }).message),
    );
  });

  it('ids and timestamps ascend together, and in the order in which rows can be seen, with four writers at once', async () => {
    const table = newTable();
    const writers = await Promise.all([1, 2, 3, 4].map(async () => open({ table })));
    const seen: number[] = [];
    let isWriting = true;
    const reading = (async () => {
      let last = 0;
      while (isWriting) {
        const there = await server.asAdmin<{ id: string }>(`SELECT id FROM ${table} WHERE id > ${last} ORDER BY id`).catch(() => []);
        for (const { id } of there) seen.push((last = Number(id)));
      }
    })();
    await Promise.all(
      writers.map(async (writer, i) => {
        for (let from = 1 + i * 1000; from <= i * 1000 + 400; from += 20) await writer.write(batchOf(from, from + 19), never);
      }),
    );
    isWriting = false;
    await reading;
    const rows = await server.asAdmin<{ id: string; at: string }>(`SELECT id, collector_timestamp::text AS at FROM ${table} ORDER BY id`);
    assert.lengthOf(rows, 1600);
    const known = new Set(seen);
    const lastSeen = seen.at(-1) ?? 0;
    assert.isAbove(seen.length, 0);
    assert.deepEqual(
      rows.map(({ id }) => Number(id)).filter((id) => id <= lastSeen && !known.has(id)),
      [],
      'rows that a reader of "id > the last one" has missed',
    );
    const times = await server.asAdmin(
      `SELECT 1 FROM (SELECT collector_timestamp < lag(collector_timestamp) OVER (ORDER BY id) AS back FROM ${table}) AS r WHERE back`,
    );
    assert.lengthOf(times, 0);
  });

  it('makes its table once where four begin at the same time', async () => {
    const table = newTable();
    const writers = await Promise.all([1, 2, 3, 4].map(async () => open({ table })));
    await Promise.all(writers.map(async (writer, i) => writer.write(batchOf(1 + i * 10, 10 + i * 10), never)));
    assert.equal(await count(table), 40);
    assert.deepEqual(await server.asAdmin(`SELECT version FROM ${table}_migrations`), [{ version: 1 }]);
  });

  it('makes its table anew where it was renamed away or dropped, also while it writes, and leaves the archive as it is', async () => {
    const table = newTable();
    const writer = await open({ table });
    for (const year of [2024, 2025]) {
      await writer.write(batchOf(1, 10), never);
      await server.asAdmin(`ALTER TABLE ${table} RENAME TO ${table}_${year}`);
      await writer.write(batchOf(11, 12), never);
      assert.deepEqual([await count(table), await count(`${table}_${year}`)], [2, year === 2024 ? 10 : 12]);
    }
    await server.asAdmin(`DROP TABLE ${table}`);
    await (await open({ table })).write(batchOf(1, 3), never);
    assert.equal(await count(table), 3);
    const indexes = await server.asAdmin(
      `SELECT tablename, count(*)::int AS n FROM pg_indexes WHERE tablename LIKE '${table}%' GROUP BY 1 ORDER BY 1`,
    );
    assert.deepEqual(
      indexes.map(({ n }) => n),
      [8, 8, 8, 1],
    );
  });

  it('a server that was restarted between two batches is no failure', async () => {
    const table = newTable();
    const writer = await open({ table });
    await writer.write(batchOf(1, 10), never);
    await server.stop('SIGQUIT');
    await server.start();
    await writer.write(batchOf(11, 20), never);
    assert.equal(await count(table), 20);
  });

  it('a session that is ended in the middle of a batch: UNAVAILABLE, or a new one takes it; never half of it', async () => {
    const table = newTable();
    const used = await open({ table });
    await used.write(batchOf(1, 1), never);
    const waiting = async (query: string, sessions: number): Promise<boolean> =>
      (await server.asAdmin(`SELECT 1 FROM pg_stat_activity WHERE query LIKE '${query}%' AND state = 'active'`, 'postgres')).length ===
      sessions;
    const locked = server.asAdmin(`BEGIN; LOCK TABLE ${table} IN EXCLUSIVE MODE; SELECT pg_sleep(60)`, 'events').catch(() => undefined);
    await until('the table is locked', async () => waiting('BEGIN; LOCK', 1));
    const again = used.write(batchOf(2, 11), never);
    await until('the first batch waits', async () => waiting('INSERT', 1));
    const failed = failure((await open({ table })).write(batchOf(12, 21), never));
    await until('the second batch waits for the first', async () => waiting('BEGIN ISOLATION', 1));
    const ours = "query LIKE 'BEGIN ISOLATION%' OR query LIKE 'INSERT%' OR query LIKE 'BEGIN; LOCK%'";
    await server.asAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${ours}`, 'postgres');
    await locked;
    const { code, facts } = await failed;
    assert.equal(code, 'UNAVAILABLE');
    assert.include([undefined, '57P01'], facts.status, 'where the connection ended before it was said why, there is none');
    await again;
    assert.equal(await count(table), 11);
  });

  it('a server that stands still: UNAVAILABLE in time, and all of it is there when it goes on', async () => {
    const table = newTable();
    await (await open({ table })).write(batchOf(1, 10), never);
    const writer = await open({ table, timeout: '1s' });
    server.freeze(true);
    try {
      const first = await failure(writer.write(batchOf(11, 20), never));
      assert.equal(first.code, 'UNAVAILABLE');
      assert.include(first.message, 'must commit within 1000 ms');
      assert.equal((await failure(writer.write(batchOf(11, 20), never))).code, 'UNAVAILABLE');
    } finally {
      server.freeze(false);
    }
    const isTaken = async (): Promise<boolean> =>
      writer.write(batchOf(11, 20), never).then(
        () => true,
        () => false,
      );
    await until('it answers', isTaken, 60_000);
    assert.equal(await count(table), 20);
  });

  describe('what the server says', () => {
    const after = async (sql: string, undo: string, settings: Settings = {}): Promise<Awaited<ReturnType<typeof failure>>> => {
      for (const each of sql.split(';')) await server.asAdmin(each, 'events');
      try {
        return await failure((await open({ table: newTable(), ...settings })).write(batchOf(1, 1), never));
      } finally {
        for (const each of undo.split(';')) await server.asAdmin(each, 'events');
      }
    };
    const cases: [name: string, sql: string, undo: string, settings: Settings, code: string, status: string | undefined][] = [
      ['a wrong password', 'SELECT 1', 'SELECT 1', { password: 'wrong' }, 'REFUSED', '28P01'],
      ['a user that is not there', 'SELECT 1', 'SELECT 1', { url: 'nobody@HOST/events' }, 'REFUSED', '28P01'],
      ['a database that is not there', 'SELECT 1', 'SELECT 1', { url: 'fondaco@HOST/nowhere' }, 'REFUSED', '3D000'],
      [
        'too many connections',
        'ALTER ROLE fondaco CONNECTION LIMIT 0',
        'ALTER ROLE fondaco CONNECTION LIMIT -1',
        {},
        'UNAVAILABLE',
        '53300',
      ],
      [
        'a standby',
        'ALTER ROLE fondaco SET default_transaction_read_only = on',
        'ALTER ROLE fondaco RESET ALL',
        {},
        'UNAVAILABLE',
        '25006',
      ],
      ['no permission', 'CREATE TABLE other (id int)', 'DROP TABLE other', { table: 'pg_catalog.events' }, 'REFUSED', '42501'],
      ['a schema that is not there', 'SELECT 1', 'SELECT 1', { table: 'nowhere.events' }, 'REFUSED', '3F000'],
      ['a table that is not ours', 'CREATE TABLE theirs (id int)', 'DROP TABLE theirs', { table: 'theirs' }, 'REFUSED', '42P07'],
    ];
    for (const [name, sql, undo, settings, code, status] of cases) {
      it(`${name}: ${code}`, async () => {
        const url = settings.url as string | undefined;
        const place = url === undefined ? {} : { url: `postgres://${url.replace('HOST', `127.0.0.1:${server.port}`)}` };
        const error = await after(sql, undo, { ...settings, ...place });
        assert.equal(error.code, code, error.message);
        assert.equal(error.facts.status, status, error.message);
        assert.notInclude(error.message, PASSWORD);
      });
    }

    it('no password where one is wanted: REFUSED', async () => {
      const writer = await SqlWriter.open(sqlSettings.parse({ url: server.url }));
      closing.push(async () => writer.close());
      assert.equal((await failure(writer.write(batchOf(1, 1), never))).code, 'REFUSED');
    });

    it('a database that is not in UTF8: REFUSED', async () => {
      await server.asAdmin(`CREATE DATABASE latin OWNER fondaco TEMPLATE template0 ENCODING 'LATIN1'`);
      const error = await failure((await open({ url: server.url.replace('/events', '/latin') })).write(batchOf(1, 1), never));
      assert.equal(error.code, 'REFUSED');
      assert.include(error.message, 'must be a database in UTF8, got LATIN1');
    });

    it('a table that lost a column: REFUSED; one of a newer version, also where it is gone: REFUSED', async () => {
      const table = newTable();
      await (await open({ table })).write(batchOf(1, 1), never);
      await server.asAdmin(`ALTER TABLE ${table} RENAME COLUMN lane TO road`);
      assert.equal((await failure((await open({ table })).write(batchOf(2, 2), never))).facts.status, '42703');
      await server.asAdmin(`DROP TABLE ${table}`);
      await server.asAdmin(`INSERT INTO ${table}_migrations (version) VALUES (2)`);
      const newer = await failure((await open({ table })).write(batchOf(2, 2), never));
      assert.equal(newer.code, 'REFUSED');
      assert.include(newer.message, 'its table has version 2, and this Fondaco knows 1');
    });

    it("a constraint of the table's owner: REJECTED, and nothing of the batch is there", async () => {
      const table = newTable();
      const writer = await open({ table });
      await writer.write(batchOf(1, 1), never);
      await server.asAdmin(`ALTER TABLE ${table} ADD CHECK (event_id NOT LIKE '%-7')`);
      const { code, facts } = await failure(writer.write(batchOf(5, 9), never));
      assert.deepEqual([code, facts.status], ['REJECTED', '23514']);
      await writer.write(batchOf(8, 9), never);
      assert.equal(await count(table), 3);
    });

    for (const { what, order } of [
      {
        what: 'a trigger',
        order: (table: string) =>
          `CREATE FUNCTION not_7() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.event_id LIKE '%-7' THEN RETURN null; END IF; RETURN NEW; END $$;
           CREATE TRIGGER swallow BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION not_7()`,
      },
      {
        what: 'a rule',
        order: (table: string) => `CREATE RULE swallow AS ON INSERT TO ${table} WHERE NEW.event_id LIKE '%-7' DO INSTEAD NOTHING`,
      },
      { what: 'a rule for all', order: (table: string) => `CREATE RULE swallow AS ON INSERT TO ${table} DO INSTEAD NOTHING` },
    ]) {
      it(`${what} that swallows rows: REFUSED, and nothing of the batch is there`, async () => {
        const table = newTable();
        const writer = await open({ table });
        await writer.write(batchOf(1, 2), never);
        await server.asAdmin(order(table), 'events');
        const { code, message } = await failure(writer.write(batchOf(2, 9), never));
        assert.equal(code, 'REFUSED');
        assert.match(message, /events_\d+ must .* of event .*-\d: a trigger, a rule or a policy .* swallows/);
        assert.equal(await count(table), 2);
        await server.asAdmin(`DROP ${what === 'a trigger' ? 'TRIGGER' : 'RULE'} swallow ON ${table}`);
        await writer.write([...batchOf(2, 9), ...batchOf(9, 9)], never);
        assert.equal(await count(table), 9);
      });
    }

    it('a trigger that puts rows elsewhere below the table swallows none', async () => {
      const table = newTable();
      const writer = await open({ table });
      await writer.write(batchOf(1, 2), never);
      await server.asAdmin(
        `CREATE TABLE ${table}_part () INHERITS (${table});
         CREATE FUNCTION to_part() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ${table}_part VALUES (NEW.*); RETURN null; END $$;
         CREATE TRIGGER part BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION to_part();
         GRANT ALL ON ${table}_part TO fondaco`,
        'events',
      );
      await writer.write(batchOf(3, 9), never);
      assert.equal(await count(table), 9);
    });

    it('a role that may only insert and read needs a table that is there', async () => {
      const table = newTable();
      await (await open({ table })).write(batchOf(1, 1), never);
      await server.asAdmin(`CREATE ROLE ${table} LOGIN PASSWORD '${PASSWORD}'`);
      await server.asAdmin(`GRANT SELECT, INSERT ON ${table} TO ${table}`, 'events');
      await server.asAdmin(`GRANT SELECT ON ${table}_migrations TO ${table}`, 'events');
      await (await open({ table, url: server.url.replace('fondaco@', `${table}@`) })).write(batchOf(2, 2), never);
      assert.equal(await count(table), 2);
    });
  });

  it('a full disk: UNAVAILABLE, nothing of the batch is there, and it goes on when there is room', async function () {
    const place = await tempDirectory();
    closing.push(async () => place.remove());
    chmodSync(place.path, 0o755);
    const disk = SmallDisk.mount(join(place.path, 'small'), 8 * 1024 * 1024);
    if (!disk) return this.skip();
    closing.push(() => disk.unmount());
    server.own(disk.directory);
    const table = newTable();
    const writer = await open({ table });
    await writer.write(batchOf(1, 1), never);
    await server.asAdmin(`CREATE TABLESPACE ${table} LOCATION '${disk.directory}'`);
    await server.asAdmin(`ALTER TABLE ${table} SET TABLESPACE ${table}`);
    disk.fill();
    const { code, facts } = await failure(writer.write(batchOf(2, 1001), never));
    assert.deepEqual([code, facts.status], ['UNAVAILABLE', '53100']);
    assert.equal(await count(table), 1);
    disk.empty();
    await writer.write(batchOf(2, 1001), never);
    assert.equal(await count(table), 1001);
    await server.asAdmin(`DROP TABLE ${table}`);
    await server.asAdmin(`DROP TABLESPACE ${table}`);
  });

  it('over a socket of this machine', async () => {
    const table = newTable();
    const url = `postgres://fondaco@${encodeURIComponent(server.socket)}:${server.port}/events`;
    await (await open({ url, table, password: undefined })).write(batchOf(1, 3), never);
    assert.equal(await count(table), 3);
  });

  it('over TLS with a client certificate: the server has to be who it should be', async () => {
    const table = newTable();
    const url = `postgres://secured@127.0.0.1:${server.port}/events`;
    const tls = { ca, cert: client.cert, key: client.key, serverName: 'db.example' };
    await (await open({ url, table, tls })).write(batchOf(1, 5), never);
    assert.equal(await count(table), 5);
    const wrong: [settings: Settings, says: RegExp][] = [
      [{ tls: { ...tls, serverName: 'other.example' } }, /other\.example/],
      [{ tls: { ca, cert: client.cert, key: client.key } }, /127\.0\.0\.1/],
      [{ tls: { serverName: 'db.example' } }, /CA that is not trusted/],
      [{ tls: { ca, serverName: 'db.example' } }, /certificate/],
      [{}, /no encryption|pg_hba/],
    ];
    for (const [settings, says] of wrong) {
      const error = await failure((await open({ url, table, ...settings })).write(batchOf(6, 6), never));
      assert.match(error.message, says);
    }
    assert.equal(await count(table), 5);
  });

  it('deletes what is beyond the retention beside the writes, and says how much', async () => {
    const table = newTable();
    const lines: { facts: object; message: string }[] = [];
    const info = (facts: object, message: string): void => void lines.push({ facts, message });
    const none = (): void => undefined;
    const logger = { debug: none, info, warn: info, error: none };
    const writer = await open({ table, retention: { rowsMax: 500, age: '1h' } }, { clock: fastClock(600), logger });
    for (let from = 1; from <= 4000; from += 500) await writer.write(batchOf(from, from + 499), never);
    await until('500 are left', async () => (await count(table)) === 500, 60_000);
    const [{ id } = { id: '' }] = await server.asAdmin<{ id: string }>(`SELECT event_id AS id FROM ${table} ORDER BY id LIMIT 1`);
    assert.match(id, /-3501$/);
    await server.asAdmin(
      `UPDATE ${table} SET collector_timestamp = now() - interval '61 minutes' WHERE id <= (SELECT min(id) + 99 FROM ${table})`,
    );
    await until('400 are left', async () => (await count(table)) === 400, 60_000);
    await until('the log says all of it', () => sum(lines) === 3600);
    await server.asAdmin(`ALTER TABLE ${table} RENAME TO ${table}_moved`);
    await server.asAdmin(`ALTER TABLE ${table}_moved RENAME TO ${table}`);
    await writer.write(batchOf(1, 10), never);
    assert.equal(await count(table), 410, 'what was deleted may come again');
  });

  it('reads back newest first, in pages, by every filter', async () => {
    const table = newTable();
    const writer = await open({ table });
    const line = (i: number): string =>
      JSON.stringify({
        type: i % 2 === 0 ? 'disk.Full' : 'disk_Full',
        severity: i % 3 === 0 ? 'error' : 'info',
        message: `m${i}`,
        source: { node: `n${i % 4}`, component: i % 5 === 0 ? 'a' : 'b' },
      });
    const events = Array.from({ length: 60 }, (_, i) => eventOf(line(i), i + 1));
    for (const [i, event] of events.entries()) event.receivedTime = new Date(Date.UTC(2026, 10, 22, 8, 0, Math.floor(i / 7))).toISOString();
    await writer.write(deliveries(events.slice(0, 40)), never);
    await writer.write(deliveries(events.slice(40), { lane: 'urgent' }), never);
    const store = openStore(sqlSettings.parse({ url: server.url, password: PASSWORD, table }), { clock: systemClock(), directory: '/' });
    closing.push(async () => store.close());
    const seen: number[] = [];
    for (let after, more = true; more;) {
      const page = await store.page({}, 7, after, never);
      seen.push(...page.map(({ payload }) => numberOf(payload)));
      after = page.at(-1);
      more = page.length === 7;
    }
    const expected = events
      .map((_, i) => i)
      .sort((a, b) => Math.floor(b / 7) - Math.floor(a / 7) || Number(b >= 40) - Number(a >= 40) || b - a);
    assert.deepEqual(seen, expected);
    const found = async (filter: object): Promise<number> => (await store.page(filter, 100, undefined, never)).length;
    assert.equal(await found({ type: 'disk.*' }), 30);
    assert.equal(await found({ type: 'disk_Full' }), 30);
    assert.equal(await found({ severities: ['error', 'critical'] }), 20);
    assert.equal(await found({ node: 'n1', component: 'b' }), 12);
    assert.equal(await found({ lane: 'urgent' }), 20);
    assert.equal(await found({ since: '2026-11-22T08:00:02.000000Z', until: '2026-11-22T08:00:03.000000Z' }), 7);
  });
});

function lineAt(time: string): string {
  return JSON.stringify({ type: 'a.B', severity: 'info', message: '', time });
}

function numberOf(payload: string): number {
  return Number((JSON.parse(payload) as { message: string }).message.slice(1));
}

function sum(lines: readonly { facts: object }[]): number {
  return lines.reduce((total, { facts }) => total + ((facts as { deleted?: number }).deleted ?? 0), 0);
}
