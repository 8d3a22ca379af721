import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { MemoryJournal } from '../../journal/memory-journal.ts';
import type { Recorder } from '../../recorder/index.ts';
import type { OpenJournal } from '../../recorder/life.ts';
import { fastClock } from '../support/fast-clock.ts';
import { assertBalanced, recordMany, RecorderKit } from '../support/recorder-kit.ts';
import type { ScriptedProxy } from '../support/scripted-proxy.ts';
import { until } from '../support/until.ts';

const kit = new RecorderKit();

describe('recorder, when somebody removes its spool', function () {
  this.timeout(20_000);
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  const open = (proxy: ScriptedProxy): Promise<Recorder> => kit.open(proxy, {}, { clock: fastClock(10), random: () => 0 });
  const life = (): string => readdirSync(join(kit.directory, 'cmd')).find((name) => !name.startsWith('.'))!;
  const removed = {
    'the directory of its life': () => join(kit.directory, 'cmd', life()),
    'its store': () => join(kit.directory, 'cmd', life(), 'db'),
    'the whole spool': () => kit.directory,
  };

  for (const [what, path] of Object.entries(removed)) {
    it(`delivers what it records afterwards, and declares exactly what was in it: ${what}`, async () => {
      const proxy = await kit.nobody();
      const recorder = await open(proxy);
      recordMany(recorder, 1, 50);
      await recorder.flush();
      rmSync(path(), { recursive: true });
      recordMany(recorder, 51, 80);
      await recorder.flush();
      assert.isTrue(statSync(join(kit.directory, 'cmd', life(), 'db')).isDirectory(), 'what is spooled is on the disk');
      await proxy.start();
      await until('all is settled', () => recorder.status().ledger.settled === 30);
      assert.deepEqual(proxy.messages, names(51, 80));
      assert.deepEqual(
        proxy.model.lost.map(({ range, cause }) => ({ range, cause })),
        [{ range: { first: 1, last: 50 }, cause: 'corrupt' }],
      );
      assertBalanced(recorder.status());
      assert.strictEqual(recorder.status().ledger.dropped, 50);
      assert.deepEqual(
        kit.errors.filter(({ code }) => code === 'CORRUPT').map(({ text }) => text.replace(/ \S+cmd\S+/g, '').replace(/[0-9a-f-]{36}/, '')),
        [
          'the spool must stay while it is in use, got it removed: what is lost with it is declared',
          'the spool must hold events -1 to -50, got none: they are declared lost, as all that is missing',
        ],
      );
    });
  }

  it('notices it without anything being recorded, and leaves word of the loss for a later life', async () => {
    const proxy = await kit.nobody();
    const recorder = await open(proxy);
    recordMany(recorder, 1, 50);
    await recorder.flush();
    const directory = join(kit.directory, 'cmd', life());
    rmSync(directory, { recursive: true });
    await until('it has made another', () => readdirSync(join(kit.directory, 'cmd')).length === 1);
    await until('it has said so', () => kit.errors.some(({ text }) => text.includes('removed')));
    await recorder.close();
    await proxy.start();
    const later = await open(proxy);
    await until('it has drained', () => later.status().older.lives === 0);
    assert.deepEqual(proxy.messages, []);
    assert.deepEqual(
      proxy.model.lost.map(({ range }) => range),
      [{ first: 1, last: 50 }],
    );
  });

  it('does not call its end a good one where no word of the loss can be left', async () => {
    const recorder = await open(await kit.nobody());
    recordMany(recorder, 1, 50);
    await recorder.flush();
    rmSync(join(kit.directory, 'cmd'), { recursive: true });
    writeFileSync(join(kit.directory, 'cmd'), 'in its way');
    const said = await recorder.close().then(() => 'nothing', String);
    assert.include(said, '[UNAVAILABLE] every event must be settled or spooled at the close, got 50 in a spool that is gone');
  });

  it('notices it also where the directory goes while its store is opened', async () => {
    const proxy = await kit.nobody();
    let openings = 0;
    const openJournal: OpenJournal = (directory) => {
      openings++;
      if (openings === 1) rmSync(directory, { recursive: true, force: true });
      else mkdirSync(directory, { recursive: true });
      return MemoryJournal.open({ clock: fastClock(10), stamp: { site: '' } });
    };
    const recorder = await kit.open(proxy, {}, { clock: fastClock(10), random: () => 0, openJournal });
    recordMany(recorder, 1, 50);
    await recorder.flush();
    await until('it has said so', () => kit.errors.some(({ text }) => text.includes('removed')));
    await until('it has made another', () => openings === 2);
  });

  it('declares none lost that the proxy has taken', async () => {
    const proxy = await kit.nobody();
    const recorder = await open(proxy);
    recordMany(recorder, 1, 50);
    await recorder.flush();
    proxy.script = (_, index) => (index === 0 ? 'lose-reply' : 'take');
    rmSync(join(kit.directory, 'cmd', life()), { recursive: true });
    await proxy.start();
    await until('it is over', () => recorder.status().ledger.settled + recorder.status().ledger.dropped === 50);
    const lost = proxy.model.lost.reduce((sum, { range }) => sum + range.last - range.first + 1, 0);
    assert.strictEqual(proxy.messages.length + lost, 50);
    recordMany(recorder, 51, 60);
    await until('it goes on', () => proxy.messages.length === 60 - lost);
    assertBalanced(recorder.status());
  });

  it('drains an older life whose directory was removed while it did', async () => {
    const proxy = await kit.nobody();
    const first = await open(proxy);
    recordMany(first, 1, 3000);
    await first.close();
    const recorder = await open(proxy);
    await until('it is adopted', () => recorder.status().older.events === 3000);
    rmSync(join(kit.directory, 'cmd', life()), { recursive: true });
    await until('it was noticed', () => kit.errors.some(({ text }) => text.includes('removed')));
    await proxy.start();
    recordMany(recorder, 1, 1);
    await until('it has drained', () => recorder.status().older.lives === 0 && recorder.status().ledger.settled === 1);
    const lost = proxy.model.lost.reduce((sum, { range }) => sum + range.last - range.first + 1, 0);
    assert.strictEqual(proxy.messages.length - 1 + lost, 3000);
  });
});

function names(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `m${first + i}`);
}
