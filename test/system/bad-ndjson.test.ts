/**
 * Bad lines in what `fondaco record` reads, one rule each: file and line, field, expected and got on stderr, exit 65, the counts of its
 * ledger; and the lines around them arrive, in order.
 */
import { assert } from 'chai';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fondaco } from '../support/fondaco.ts';
import { Site } from '../support/site.ts';

const TYPE = 'type must be a letter, then up to 127 letters, digits or any of _ . -, got';
const SEVERITY = 'severity must be one of debug, info, warn, error, critical, got';
const TIME = 'time must be RFC 3339 such as 2026-11-22T08:00:00.123456Z, seconds 00 to 59, got';
const line = (members: Record<string, unknown>): string => JSON.stringify({ type: 'a.B', severity: 'info', message: 'm', ...members });

const LINES: [bad: string | Buffer, says: string | RegExp][] = [
  ['not json', /^event must be JSON, ./],
  ['{"type":"a.B","severity":"info","message":"cut', /^event must be JSON, ./],
  ['[]', 'event must be a JSON object, got []'],
  ['null', 'event must be a JSON object, got null'],
  ['{}', `${TYPE} nothing`],
  [line({ type: '9a' }), `${TYPE} "9a"`],
  [line({ severity: 'fatal' }), `${SEVERITY} "fatal"`],
  [line({ severity: undefined }), `${SEVERITY} nothing`],
  [line({ message: 42 }), 'message must be a string, got 42'],
  [line({ message: 'm'.repeat(8193) }), 'message must be at most 8192 bytes of UTF-8, got 8193'],
  [line({ time: 'yesterday' }), `${TIME} "yesterday"`],
  [line({ time: '2026-02-30T00:00:00Z' }), `${TIME} "2026-02-30T00:00:00Z"`],
  [line({ source: { node: 'n'.repeat(257) } }), 'source.node must be at most 256 bytes of UTF-8, got 257'],
  [line({ object: { kind: 1 } }), 'object.kind must be a string, got 1'],
  [line({ attributes: [1] }), 'attributes must be a JSON object, got [1]'],
  [
    line({}).replace(/}$/, ',"attributes":{"n":9007199254740993}}'),
    'attributes must hold no integer beyond 2^53, got 9007199254740993: send it as a string',
  ],
  [line({ id: 'mine' }), /^event has an unknown key, expected any of type, severity, .*, got "id"$/],
  [Buffer.from([0x22, 0xff, 0x22]), 'a line must be UTF-8, got other bytes'],
  [' '.repeat(600_000) + 'x', 'a line must be at most 524288 bytes, got 600001'],
];

describe('bad NDJSON, at the real command', function () {
  this.timeout(30_000);
  let site: Site;

  beforeEach(async () => {
    site = await Site.start();
  });
  afterEach(() => site.end());

  const good = (n: number): string => line({ message: `good ${n}` });
  const expected = Array.from({ length: LINES.length + 1 }, (_, n) => `good ${n}`);
  /** A good line before each bad one, and one at the end. */
  const text = (): Buffer => {
    const lines = LINES.flatMap(([bad], n) => [good(n), bad, '\n'].map((part) => (part === good(n) ? `${part}\n` : part)));
    return Buffer.concat([...lines, good(LINES.length)].map((part) => Buffer.from(part as string)));
  };

  for (const from of ['a file', 'stdin'] as const) {
    it(`each bad line of ${from} is named with its place and what is wrong; the lines around it arrive in order`, async () => {
      const file = join(site.folder, 'events.ndjson');
      writeFileSync(file, text());
      const name = from === 'stdin' ? 'stdin' : file;
      const { code, stdout, stderr } = await fondaco(['record', '--json', ...(from === 'stdin' ? [] : ['--file', file])], {
        cwd: site.folder,
        env: { FONDACO_PROXY: site.proxy.address, FONDACO_SPOOL_DIR: site.spool },
        stdin: from === 'stdin' ? text() : '',
      });
      assert.equal(code, 65, stderr);
      const said = stderr.trimEnd().split('\n');
      assert.lengthOf(said, LINES.length, stderr);
      for (const [n, [, says]] of LINES.entries()) {
        const place = `${name}:${2 * n + 2}: `;
        assert.isTrue(said[n]!.startsWith(place), `${said[n]} must begin with ${place}`);
        if (typeof says === 'string') assert.equal(said[n]!.slice(place.length), says);
        else assert.match(said[n]!.slice(place.length), says);
      }
      const [settled, rejected] = [expected.length, LINES.length];
      assert.deepEqual(JSON.parse(stdout), { recorded: settled + rejected, settled, rejected, spooled: 0, queued: 0, dropped: 0 });
      await site.drained();
      assert.deepEqual(
        site.ops.book.events.map(({ message }) => message),
        expected,
      );
      assert.deepEqual(site.ops.book.problems({ isRepeatFree: true }), []);
    });
  }

  it('a file of nothing but mistakes: exit 65, and the next file is recorded', async () => {
    const env = { FONDACO_PROXY: site.proxy.address, FONDACO_SPOOL_DIR: site.spool };
    const bad = await fondaco(['record'], { cwd: site.folder, env, stdin: 'not json\n{}\n' });
    assert.equal(bad.code, 65);
    assert.equal(bad.stdout, 'recorded 2, 0 with the proxy, 2 refused\n');
    assert.equal((await fondaco(['record'], { cwd: site.folder, env, stdin: good(0) })).code, 0);
    await site.drained();
    assert.deepEqual(
      site.ops.book.events.map(({ message }) => message),
      ['good 0'],
    );
  });
});
