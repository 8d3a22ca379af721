import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { repairLife } from '../../recorder/repair-life.ts';
import { findLives, StoppedLife, type LifePlace } from '../../recorder/stopped-life.ts';
import { RecorderKit } from '../support/recorder-kit.ts';
import type { ScriptedProxy } from '../support/scripted-proxy.ts';
import { until } from '../support/until.ts';

const EVENTS = 100;
const kit = new RecorderKit();

const seriesOfAll = new Set<string>();

/** A life that has spooled its events, a commit for each ten of them, and is closed. */
async function spooled(proxy: ScriptedProxy): Promise<LifePlace> {
  seriesOfAll.clear();
  const first = await kit.open(proxy);
  for (let n = 1; n <= EVENTS; n++) {
    const id = first.event('a.B', n % 5 === 0 ? 'critical' : 'info', `m${n}`)!;
    seriesOfAll.add(id.slice(0, id.lastIndexOf('-')));
    if (n % 10 === 0) await first.flush();
  }
  await first.close();
  const [place] = await findLives(kit.directory);
  return place!;
}

/** Leaves so much of the database's log, between two records or in one: the database itself cannot tell. */
function cutLog(place: LifePlace, share: number): void {
  const db = join(place.directory, 'db');
  const log = join(
    db,
    readdirSync(db).find((name) => name.endsWith('.log'))!,
  );
  truncateSync(log, Math.floor(statSync(log).size * share));
}

async function drained(proxy: ScriptedProxy): Promise<{ came: number; lost: number; damaged: number }> {
  await proxy.start();
  const later = await kit.open(proxy);
  await until('it has drained', () => later.status().older.lives === 0 && later.status().ledger.queued === 0, 15_000);
  await later.close();
  const lost = proxy.model.lost.reduce((sum, { range }) => sum + range.last - range.first + 1, 0);
  assert.isTrue(
    proxy.model.lost.every(({ series }) => seriesOfAll.has(series)),
    'under the series that they had',
  );
  const damaged = proxy.events.filter(({ type }) => type === 'fondaco.SpoolDamaged').length;
  return { came: proxy.events.length - damaged, lost, damaged };
}

describe('a spool whose log was cut short', () => {
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  for (const share of [0.9, 0.5, 0.2, 0.02, 0]) {
    it(`declares lost exactly what lay behind, ${share} of it being left`, async () => {
      const proxy = await kit.nobody();
      cutLog(await spooled(proxy), share);
      const { came, lost, damaged } = await drained(proxy);
      assert.strictEqual(came + lost, EVENTS);
      assert.isAbove(lost, 0);
      assert.strictEqual(damaged, 1);
      assert.isTrue(
        kit.errors.some(
          ({ code, text }) => code === 'CORRUPT' && /an end without \d+ normal events|another one, which is empty/.test(text),
        ),
      );
    });
  }

  it('is found by a check, which changes nothing, and put right by a repair, once', async () => {
    const proxy = await kit.nobody();
    const place = await spooled(proxy);
    cutLog(place, 0.5);
    const heads = readFileSync(join(place.directory, 'heads'), 'utf8');
    for (let look = 0; look < 2; look++) {
      const life = await StoppedLife.open(place);
      for (const lane of ['urgent', 'normal'] as const) for await (const _ of life.events(lane));
      await life.close();
      assert.isTrue(life.damages.some(({ what }) => /an end without \d+ urgent events/.test(what)));
      assert.isTrue(life.damages.some(({ lost, lane }) => lane === 'normal' && lost!.last === 80));
    }
    assert.strictEqual(readFileSync(join(place.directory, 'heads'), 'utf8'), heads);
    const { events, lost } = await repairLife(place);
    assert.strictEqual(events.normal + lost.normal, 80);
    assert.strictEqual(events.urgent + lost.urgent, 20);
    assert.deepEqual(await repairLife(place), { done: [], events, lost });
    const told = await drained(proxy);
    assert.deepEqual(told, { came: events.normal + events.urgent, lost: lost.normal + lost.urgent, damaged: 0 });
  });

  it('is not taken for whole by a check that cannot read what it held', async () => {
    const place = await spooled(await kit.nobody());
    rmSync(join(place.directory, 'heads'));
    mkdirSync(join(place.directory, 'heads'));
    const error: unknown = await StoppedLife.open(place).catch((thrown: unknown) => thrown);
    assert.strictEqual((error as NodeJS.ErrnoException).code, 'EISDIR', String(error));
  });

  it('counts nothing twice when the one who found it is killed before it is sent', async () => {
    const proxy = await kit.nobody();
    const place = await spooled(proxy);
    cutLog(place, 0.5);
    for (let life = 0; life < 3; life++) await (await kit.open(proxy)).close();
    const { came, lost } = await drained(proxy);
    assert.strictEqual(came + lost, EVENTS);
  });

  it('is put right where nothing is left of it, and its events are declared lost', async () => {
    const proxy = await kit.nobody();
    const place = await spooled(proxy);
    cutLog(place, 0);
    const { events, lost } = await repairLife(place);
    assert.deepEqual(
      [events, lost],
      [
        { urgent: 0, normal: 0 },
        { urgent: 20, normal: 80 },
      ],
    );
    assert.deepEqual(await drained(proxy), { came: 0, lost: EVENTS, damaged: 0 });
  });

  it('is told and counted where another store lies in its place', async () => {
    const proxy = await kit.nobody();
    const place = await spooled(proxy);
    rmSync(join(place.directory, 'db'), { recursive: true });
    assert.deepEqual(await drained(proxy), { came: 0, lost: EVENTS, damaged: 1 });
    assert.isTrue(kit.errors.some(({ code, text }) => code === 'CORRUPT' && text.includes('another one, which is empty')));
  });
});
