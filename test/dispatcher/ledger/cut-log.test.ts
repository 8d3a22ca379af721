/** A journal whose end was lost, where nothing inside it can tell: on LevelDB, its log cut, an older copy brought back, or all of it gone. */
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Delivery, Writer } from '../../../core/writer.ts';
import { Dispatch } from '../../../dispatcher/dispatch.ts';
import type { Ledger } from '../../../dispatcher/ledger/ledger.ts';
import type { Loss } from '../../../dispatcher/ledger/losses.ts';
import { openJournal } from '../../../journal/open-journal.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

interface Life {
  readonly dispatch: Dispatch;
  readonly taken: Delivery[];
  end(): Promise<void>;
}

describe('a journal that has lost its end', () => {
  let path: string;
  let remove: () => Promise<void>;
  let life: Life | undefined;

  beforeEach(async () => ({ path, remove } = await tempDirectory()));
  afterEach(async () => {
    await life?.end();
    await remove();
  });

  /** `ops` takes everything, `away` nothing. */
  const start = async (): Promise<Life> => {
    const journal = await openJournal(join(path, 'journal'), { reserveBytes: 0 });
    const taken: Delivery[] = [];
    const ops: Writer = { write: async (batch) => void taken.push(...batch) };
    const away: Writer = { write: async () => Promise.reject(new FondacoError('UNAVAILABLE', 'nobody is there')) };
    const writers = [{ name: 'ops', writer: () => ops }, { name: 'away', writer: () => away }]; // prettier-ignore
    const dispatch = await Dispatch.open(journal, { writers });
    const stop = new AbortController();
    const running = dispatch.run(stop.signal);
    const end = async (): Promise<void> => {
      life = undefined;
      stop.abort();
      await running;
      await journal.close();
    };
    return (life = { dispatch, taken, end });
  };
  const record = async ({ dispatch, taken }: Life, first: number, last: number): Promise<void> => {
    for (let n = first; n <= last; n++) await dispatch.record('test.Event', 'info', `m ${n}`);
    await until('its delivery', () => taken.some(({ event }) => event.message === `m ${last}`));
  };
  const told = ({ taken }: Life, type: string): string[] =>
    taken.filter(({ event }) => event.type === type).map(({ event }) => event.attributesText);
  const lostOf = async (from: Life): Promise<Loss[]> => {
    const losses = (): Loss[] => told(from, 'fondaco.Loss').flatMap((text) => (JSON.parse(text) as { losses: Loss[] }).losses);
    await until('a loss notice', () => losses().filter(({ origin }) => origin.kind === 'writer').length >= 1);
    return losses();
  };
  const log = async (): Promise<string> => {
    const db = join(path, 'journal', 'db');
    const logs = (await readdir(db)).filter((name) => name.endsWith('.log'));
    const sizes = await Promise.all(logs.map(async (name) => ({ name, size: (await stat(join(db, name))).size })));
    return join(db, sizes.sort((a, b) => b.size - a.size)[0]!.name);
  };

  it('cut in its log, names the positions that are lost, since when, and that more may be, and balances', async () => {
    const first = await start();
    await record(first, 1, 20);
    await record(first, 21, 60);
    await first.end();
    const file = await log();
    await truncate(file, Math.floor((await stat(file)).size / 2));
    const second = await start();
    const [what] = await mended(second);
    assert.match(
      what!,
      /the end of the log was lost: positions \d+ to 60 of the normal lane, received after 2\d{3}-.*its end is not known/,
    );
    const [, from] = /positions (\d+) to 60/.exec(what!)!;
    const losses = await lostOf(second);
    assert.deepInclude(losses[0], { cause: 'corrupt', count: 61 - Number(from), ranges: [[Number(from), 60]] } as object); // prettier-ignore
    assert.isTrue(losses.every(({ origin }) => origin.kind === 'writer'), 'no window has lost anything'); // prettier-ignore
    await record(second, 61, 65);
    const ledger: Ledger = await second.dispatch.ledger();
    assert.isTrue(ledger.isBalanced);
    assert.equal(ledger.unreported, 0);
    await second.end();
    const third = await start();
    await record(third, 66, 66);
    assert.deepEqual(told(third, 'fondaco.StoreMended'), [], 'told once');
  });

  it('replaced by an older copy, names what came after it', async () => {
    const first = await start();
    await record(first, 1, 10);
    await first.end();
    await cp(join(path, 'journal', 'db'), join(path, 'copy'), { recursive: true });
    const second = await start();
    await record(second, 11, 30);
    await second.end();
    await rm(join(path, 'journal', 'db'), { recursive: true });
    await cp(join(path, 'copy'), join(path, 'journal', 'db'), { recursive: true });
    const third = await start();
    assert.deepInclude((await lostOf(third))[0], { count: 20, ranges: [[11, 30]] } as object); // prettier-ignore
    assert.isTrue((await third.dispatch.ledger()).isBalanced);
  });

  it('and all before it, says how much there was', async () => {
    const first = await start();
    await record(first, 1, 10);
    await first.end();
    await rm(join(path, 'journal', 'db'), { recursive: true });
    const second = await start();
    await record(second, 11, 11);
    const [what = ''] = second.dispatch.dispatcher.mended;
    assert.match(what, /is gone and another was begun: it had held positions up to \d+ of the urgent lane and 10 of the normal lane/);
    await until('it is told to who takes it', () => told(second, 'fondaco.StoreMended').length === 1);
    const ledger: Ledger = await second.dispatch.ledger();
    assert.isTrue(ledger.isBalanced);
    assert.deepEqual(ledger.writers.map(({ lanes }) => lanes.urgent.made), [1, 1], 'both are to hear of it'); // prettier-ignore
    await second.end();
    const third = await start();
    assert.deepEqual(third.dispatch.dispatcher.mended, []);
  });

  it('is not suspected without reason: after a kill, with the file that tells it damaged, or gone', async () => {
    for (const damage of ['{', '', '{"id":1}', undefined]) {
      const one = await start();
      await record(one, 1, 5);
      await one.end();
      const heads = join(path, 'journal', 'heads');
      assert.isAbove((await readFile(heads)).length, 10);
      if (damage === undefined) await rm(heads);
      else await writeFile(heads, damage);
      const two = await start();
      assert.deepEqual(two.dispatch.dispatcher.mended, []);
      await two.end();
    }
  });

  const mended = async (from: Life): Promise<string[]> => {
    await until('what was mended', () => told(from, 'fondaco.StoreMended').length > 0);
    return told(from, 'fondaco.StoreMended');
  };
});
