import { assert } from 'chai';
import type { z } from 'zod';
import type { FondacoError } from '../../../core/errors.ts';
import { newerThanKnown, POSTGRES_STEPS, tableNames } from '../../../writers/sql/migrations.ts';
import { postgresError } from '../../../writers/sql/postgres-errors.ts';
import { missingSqlite, parsePostgresUrl, postgresPlace, sqlProblems, sqlSettings } from '../../../writers/sql/settings.ts';
import { cellTime } from '../../../writers/sql/event-row.ts';
import { Secrets } from '../../../writers/secrets.ts';

const URL = 'postgres://fondaco@db.example/events';

describe('sql settings', () => {
  const places: [url: string, host: string, port: number, user: string, password: string | undefined, database: string][] = [
    [URL, 'db.example', 5432, 'fondaco', undefined, 'events'],
    ['postgresql://a%40b:p%2Fw@[::1]:6000/my%20db', '::1', 6000, 'a@b', 'p/w', 'my db'],
    ['postgres://u@%2Fvar%2Frun%2Fpostgresql/db', '/var/run/postgresql', 5432, 'u', undefined, 'db'],
  ];
  for (const [url, host, port, user, password, database] of places) {
    it(`reads ${url}`, () => assert.deepEqual(parsePostgresUrl(url), { host, port, user, password, database }));
  }

  for (const url of [
    'postgres://db.example/events',
    'postgres://fondaco@db.example',
    'postgres://fondaco@/events',
    'postgres://fondaco@db.example/events?sslmode=disable',
    'postgres://fondaco@db.example/events/more',
    'postgres://fond%zz@db.example/events',
    'mysql://fondaco@db.example/events',
    'db.example',
  ]) {
    it(`takes ${url} for none`, () => assert.isFalse(sqlSettings.safeParse({ url }).success));
  }

  it('takes a password from beside the url', () => {
    assert.equal(postgresPlace(sqlSettings.parse({ url: URL, password: 'p' })).password, 'p');
  });

  const wrong: [settings: z.input<typeof sqlSettings>, says: string][] = [
    [{}, ' must have one of url (PostgreSQL) and path (SQLite)'],
    [{ url: URL, path: 'a.db' }, ' must have one of url (PostgreSQL) and path (SQLite)'],
    [{ url: URL.replace('fondaco', 'fondaco:p'), password: 'p' }, 'password must not stand beside a password in url'],
    [{ url: URL, retention: {} }, 'retention must have age, rowsMax or both'],
    [{ url: URL, tls: { cert: 'a.pem' } }, 'tls.cert must have its key beside it, in tls.key'],
    [{ url: URL, timeout: '1s', connectTimeout: '2s' }, 'connectTimeout must be at most timeout'],
  ];
  for (const [settings, says] of wrong) {
    it(`says: ${says.trim()}`, async () => {
      const [problem] = await sqlProblems(sqlSettings.parse(settings));
      assert.equal(`${problem?.key.join('.')} ${problem?.message}`, says);
    });
  }

  it('says what of a file of SQLite does not go with it, and where Node has no SQLite', async () => {
    const problems = await sqlProblems(sqlSettings.parse({ path: 'a.db', password: 'p', tls: {}, table: 'a.b' }));
    const said = problems.map(({ key, message }) => `${key.join('.')} ${message}`);
    assert.includeMembers(said, [
      'password must stand beside url only',
      'tls must stand beside url only',
      'table must have a schema beside url only',
    ]);
    assert.lengthOf(said, missingSqlite() === undefined ? 3 : 4);
    if (missingSqlite() !== undefined) assert.match(said[3]!, /^path must run on a Node with node:sqlite, 22.13 or newer, got \d/);
  });

  for (const table of ['Events', 'events; DROP TABLE x', 'a"b', '1a', 'a.b.c', '', 'x'.repeat(41)]) {
    it(`takes ${JSON.stringify(table)} for no table`, () => assert.isFalse(sqlSettings.safeParse({ url: URL, table }).success));
  }

  it('quotes names, with and without a schema', () => {
    assert.deepEqual(tableNames('events'), { table: '"events"', migrations: '"events_migrations"', prefix: 'events' });
    assert.deepEqual(tableNames('audit.events'), {
      table: '"audit"."events"',
      migrations: '"audit"."events_migrations"',
      prefix: 'events',
    });
    assert.isUndefined(newerThanKnown(1, POSTGRES_STEPS));
  });

  it('gives times a fixed width, so that their texts are in their order', () => {
    assert.deepEqual(['2026-11-22T08:00:00Z', '2026-11-22T08:00:00.5Z', '2026-11-22T08:00:00.123456789Z'].map(cellTime), [
      '2026-11-22T08:00:00.000000Z',
      '2026-11-22T08:00:00.500000Z',
      '2026-11-22T08:00:00.123456Z',
    ]);
  });
});

describe('what a PostgreSQL says', () => {
  const secrets = new Secrets(['hunter22']);
  const said = (code: string, isEvents = true): FondacoError => {
    const error = Object.assign(new Error('no, hunter22'), { severity: 'ERROR', code, detail: 'hunter22 again' });
    return postgresError(error, 'PostgreSQL h:1/d', { isEvents, secrets });
  };
  const codes: Record<string, readonly string[]> = {
    UNAVAILABLE: [
      '08006',
      '40001',
      '40P01',
      '53100',
      '53200',
      '53300',
      '55P03',
      '57014',
      '57P01',
      '57P02',
      '57P03',
      '58030',
      'XX000',
      '25006',
      '99999',
    ],
    REFUSED: ['28000', '28P01', '3D000', '3F000', '42501', '42P01', '42703', '42P07', '0A000', '57P04'],
    REJECTED: ['22P05', '22021', '22P02', '23502', '23505', '23514', '54000', 'P0001'],
  };
  for (const [code, states] of Object.entries(codes)) {
    it(`${states.join(', ')}: ${code}`, () =>
      assert.deepEqual(
        states.filter((state) => said(state).code !== code),
        [],
      ));
  }

  it('is never an event at fault where no event was on its way', () => assert.equal(said('23505', false).code, 'REFUSED'));

  it('is shown without our secrets', () => {
    const { message, facts } = said('28P01');
    assert.equal(message, '[REFUSED] PostgreSQL h:1/d refused: no, *** (28P01)');
    assert.deepEqual([facts.status, facts.answer], ['28P01', 'no, ***\n*** again']);
  });
});
