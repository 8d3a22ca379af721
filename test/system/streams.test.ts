import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findMember } from '../../core/json-text.ts';
import { parseTime, formatTime } from '../../core/time.ts';
import { sharedLines } from '../support/fixtures.ts';
import { Child } from '../support/processes.ts';
import type { Delivered, RecordBook } from '../support/record-book.ts';
import { Site } from '../support/site.ts';
import { until } from '../support/until.ts';

/** Where the real streams are absent: as many lines, half of them repeats. */
function streamLines(file: string): string[] {
  return (
    sharedLines(file) ??
    Array.from({ length: 2000 }, (_, n) =>
      JSON.stringify({
        time: '2005-06-03T15:42:50.675Z',
        type: `gen.${file.slice(0, 3)}`,
        severity: n % 50 === 7 ? 'critical' : 'info',
        message: `line ${n >> 1}`,
        source: { node: 'n', component: 'c' },
      }),
    )
  );
}

describe('real streams through real processes', function () {
  this.timeout(120_000);
  let site: Site;
  let book: RecordBook;

  afterEach(() => site.end());

  const start = async (dedup: string): Promise<void> => {
    site = await Site.start({ dedup });
    ({ book } = site.ops);
  };

  /** A recorder process with a file of its own. */
  const recording = async (name: string, lines: readonly string[]): Promise<Child> => {
    const file = join(site.folder, `${name}.ndjson`);
    await writeFile(file, lines.map((line) => `${line}\n`).join(''));
    const place = ['--proxy', site.proxy.address, '--component', name, '--spool', site.spool];
    return Child.cli('record', '--file', file, ...place, '--json');
  };

  for (const dedup of ['0s', '2s']) {
    it(`two recorder processes at once, dedup ${dedup}: 4,000 events, each counted once, in order, equal field by field`, async () => {
      await start(dedup);
      const files = new Map([
        ['bgl', streamLines('bgl.ndjson')],
        ['openstack', streamLines('openstack.ndjson')],
      ]);
      const children = await Promise.all([...files].map(([name, lines]) => recording(name, lines)));
      for (const child of children) {
        const { code, stderr, stdout } = await child.ended;
        expect(code, stderr).to.equal(0);
        const ledger = JSON.parse(stdout) as Record<string, number>;
        expect(ledger.recorded).to.equal(2000);
        expect(ledger.settled).to.equal(2000);
      }
      await site.expectCounted(4000);
      expect(book.problems({ isRepeatFree: true })).to.deep.equal([]);
      if (dedup !== '0s') {
        expect(book.events.length).to.be.lessThan(4000);
        return;
      }
      expect(book.events).to.have.length(4000);
      expectEqual(book, [...files.values()].flat());
    });
  }

  it('nasty text arrives equal, what differs in its data is not folded, and the critical event overtakes what waited', async () => {
    const lines = sharedLines('nasty.ndjson') ?? streamLines('nasty.ndjson');
    await start('5s');
    await site.ops.leave(); // away while it is recorded
    const child = await recording('nasty', lines);
    const { code, stderr } = await child.ended;
    expect(code, stderr).to.equal(0);
    await until('the feed has noticed', async () => (await site.proxy.status()).writers[0]!.state === 'retrying', 5000);
    await site.ops.comeBack();
    await site.expectCounted(lines.length);
    expect(book.deliveries[0]!.severity).to.equal('critical');
    const sameText = book.events.filter(({ type }) => type === 'nasty.SameTextOtherData');
    expect(sameText.length).to.equal(lines.filter((line) => line.includes('nasty.SameTextOtherData')).length);
    expect(sameText.every(({ count }) => count === 1)).to.equal(true);
    // Folded ones are not delivered, so equality is looked up by what was written.
    const written = new Set(lines.map(keyOfLine));
    for (const key of keysOf(book)) expect(written).to.include(key);
    const delivered = new Set(keysOf(book));
    for (const key of written) expect(delivered).to.include(key);
  });

  it('each line of rejected.ndjson is refused by name, and the lines around it go through', async () => {
    await start('0s');
    const bad = sharedLines('rejected.ndjson') ?? [
      'not json',
      '[]',
      '{"type":"9","severity":"info","message":"m"}',
      '{"type":"a","severity":"fatal","message":"m"}',
    ];
    const good = (n: number): string => JSON.stringify({ type: 'good.Line', severity: 'info', message: `good ${n}` });
    const child = await recording('mixed', bad.flatMap((line, n) => [good(n), line]).concat(good(bad.length)));
    const { code, stderr } = await child.ended;
    expect(code).to.equal(65);
    for (const n of bad.keys()) expect(stderr).to.match(new RegExp(`mixed\\.ndjson:${n * 2 + 2}: .*(must|has an unknown key)`));
    await until('the good lines arrive', () => book.events.length >= bad.length + 1, 10_000);
    expect(book.events.map(({ message }) => message)).to.deep.equal(Array.from({ length: bad.length + 1 }, (_, n) => `good ${n}`));
  });
});

/** Type, severity, time, message, source, object and attributes of a delivery, as one text. */
function keysOf(book: RecordBook): string[] {
  const attributes = book.attributes;
  return book.events.map((event) => keyOf(event, attributes.get(event.id) ?? ''));
}

function keyOf({ type, severity, time, message, source, object }: Delivered, attributes: string): string {
  return JSON.stringify([type, severity, time, message, source.node, source.component, sorted(object), attributes || '{}']);
}

function keyOfLine(line: string): string {
  const event = JSON.parse(line) as Delivered;
  const time = parseTime(event.time)!;
  const canonical = { ...event, time: formatTime(time.seconds, time.nanos) };
  return keyOf(canonical, findMember(line, 'attributes'));
}

function sorted(object: unknown): [string, unknown][] {
  return Object.entries(object ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Every line once, nothing else, whatever the order between the two streams. */
function expectEqual(book: RecordBook, lines: readonly string[]): void {
  expect(keysOf(book).sort()).to.deep.equal(lines.map(keyOfLine).sort());
}
