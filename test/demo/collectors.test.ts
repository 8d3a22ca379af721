import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from 'chai';
import { shortName, type Collector } from '../../demo/collectors/collector.ts';
import { diskCollector } from '../../demo/collectors/disk.ts';
import { fileCollector } from '../../demo/collectors/files.ts';
import { interfaceCollector, type Interfaces } from '../../demo/collectors/interfaces.ts';
import { loadCollector } from '../../demo/collectors/load.ts';
import { memoryCollector } from '../../demo/collectors/memory.ts';
import { processCollector, type FoundProcess } from '../../demo/collectors/processes.ts';
import { runCollectors } from '../../demo/collectors/run.ts';
import { Collecting } from '../support/collecting.ts';
import { eventually } from '../support/fake-clock.ts';
import { pause } from '../support/pause.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('collectors', () => {
  let collecting: Collecting;

  beforeEach(() => {
    collecting = new Collecting();
  });

  describe('load, memory, disks', () => {
    it('warn when a limit is crossed and inform when it is over, never per look', async () => {
      let load = 1;
      collecting.start(loadCollector(1, { load: () => load, cores: 2 }));
      assert.deepEqual(await collecting.look(), []);
      load = 2.5;
      assert.deepEqual(await collecting.look(), ['host.LoadHigh load']);
      assert.deepEqual(await collecting.look(), []);
      load = 1.9; // below the limit, but not by enough
      assert.deepEqual(await collecting.look(), []);
      load = 1;
      assert.deepEqual(await collecting.look(), ['host.LoadNormal load']);
      assert.deepEqual(
        collecting.told.map(({ severity }) => severity),
        ['warn', 'info'],
      );
      await collecting.end();
    });

    it('count memory by what programs may still have', async () => {
      let available = 500;
      collecting.start(memoryCollector(90, { available: () => available, totalBytes: 1000 }));
      available = 50;
      assert.deepEqual(await collecting.look(), ['host.MemoryHigh memory']);
      available = 200;
      assert.deepEqual(await collecting.look(), ['host.MemoryNormal memory']);
      await collecting.end();
    });

    it('keep a limit of its own for each file system', async () => {
      const used = new Map([
        ['/', 95],
        ['/data', 10],
      ]);
      collecting.start(diskCollector([...used.keys()], 90, async (path) => used.get(path) ?? 0));
      assert.deepEqual(await collecting.look(), ['host.DiskHigh /']);
      used.set('/data', 91).set('/', 50);
      assert.deepEqual(await collecting.look(), ['host.DiskNormal /', 'host.DiskHigh /data']);
      await collecting.end();
    });

    it('read this machine without an error', async () => {
      const collectors = [loadCollector(1e9), memoryCollector(1e9), diskCollector(['/'], 1e9)];
      for (const collector of collectors) collecting.start(collector);
      assert.deepEqual(await collecting.look(), []);
      await collecting.end();
    });
  });

  describe('interfaces', () => {
    it('appear, go up and down, vanish', async () => {
      let found: Interfaces = new Map([['lo', true]]);
      collecting.start(interfaceCollector(async () => found));
      assert.deepEqual(await collecting.look(), []);
      found = new Map([
        ['lo', true],
        ['eth7', false],
      ]);
      assert.deepEqual(await collecting.look(), ['net.InterfaceAdded eth7']);
      found = new Map([...found, ['eth7', true]]);
      assert.deepEqual(await collecting.look(), ['net.InterfaceUp eth7']);
      found = new Map([...found, ['eth7', false]]);
      assert.deepEqual(await collecting.look(), ['net.InterfaceDown eth7']);
      found = new Map([['lo', true]]);
      assert.deepEqual(await collecting.look(), ['net.InterfaceRemoved eth7']);
      await collecting.end();
    });

    it('have no state where none can be told', async () => {
      let found: Interfaces = new Map([['en0', undefined]]);
      collecting.start(interfaceCollector(async () => found));
      await collecting.look();
      found = new Map([['en0', true]]);
      assert.deepEqual(await collecting.look(), []);
      await collecting.end();
    });

    it('of this machine are listed', async () => {
      collecting.start(interfaceCollector());
      await collecting.look();
      await collecting.end();
    });
  });

  describe('processes', () => {
    const named = (pid: number): FoundProcess => ({ pid, name: `p${pid}`, parent: 1 });

    it('come and go; what is there at the start is no event', async () => {
      let pids = [1, 2];
      collecting.start(processCollector({ pids: () => pids, find: named }));
      assert.deepEqual(await collecting.look(), []);
      pids = [1, 3];
      assert.deepEqual(await collecting.look(), ['process.Started p3', 'process.Ended p2']);
      assert.include(collecting.told[0]?.message, '(pid 3)');
      await collecting.end();
    });

    it('are looked at once, and not told of when they are kernel threads or gone already', async () => {
      let pids: number[] = [];
      const asked: number[] = [];
      const find = (pid: number): undefined => void asked.push(pid);
      collecting.start(processCollector({ pids: () => pids, find }));
      await collecting.look();
      pids = [7];
      await collecting.look();
      await collecting.look();
      pids = [];
      await collecting.look();
      assert.deepEqual(asked, [7]);
      assert.deepEqual(collecting.told, []);
      await collecting.end();
    });

    it('that are too many at once become one event with their number', async () => {
      let pids: number[] = [];
      collecting.start(processCollector({ pids: () => pids, find: named }));
      await collecting.look();
      pids = Array.from({ length: 1000 }, (_, at) => at + 1);
      const told = await collecting.look();
      assert.lengthOf(told, 51);
      assert.equal(collecting.told.at(-1)?.message, '950 more started and 0 more ended at once');
      await collecting.end();
    });
  });

  describe('files', () => {
    it('are added, changed and removed, at any depth; what is there at the start is no event', async function () {
      const folder = await tempDirectory();
      try {
        await writeFile(join(folder.path, 'old'), '1');
        await mkdir(join(folder.path, 'below'));
        collecting.start(fileCollector(folder.path));
        const told = (type: string, name: string): boolean => collecting.told.some((one) => one.type === type && one.name === name);
        // The watcher says nothing about when it is ready to see changes: files are added until one is seen.
        for (let n = 1; n <= 150 && !collecting.told.some(({ type }) => type === 'file.Added'); n++) {
          await writeFile(join(folder.path, 'below', `new ${n}`), 'x');
          await pause(100);
        }
        assert.include(
          collecting.told.map(({ type }) => type),
          'file.Added',
        );
        assert.isFalse(told('file.Added', 'old'));
        await writeFile(join(folder.path, 'old'), '22');
        await eventually(() => told('file.Changed', 'old'), 'file.Changed');
        await rm(join(folder.path, 'old'));
        await eventually(() => told('file.Removed', 'old'), 'file.Removed');
        await collecting.end();
      } finally {
        await folder.remove();
      }
    });
  });

  it('that cannot run here say so once, and the others go on', async () => {
    let load = 0;
    const broken: Collector = {
      name: 'broken',
      run: async () => {
        throw new Error('there is no /proc');
      },
    };
    const both: Collector = {
      name: 'both',
      run: (parts, signal) => runCollectors([broken, loadCollector(1, { load: () => load, cores: 1 })], parts, signal),
    };
    collecting.start(both);
    assert.deepEqual(await collecting.look(), ['agent.CollectorStopped broken']);
    assert.equal(collecting.told[0]?.message, 'broken cannot be watched here: there is no /proc');
    load = 5;
    assert.deepEqual(await collecting.look(), ['host.LoadHigh load']);
    await collecting.end();
  });

  it('cut a name that does not fit the field of an object, between two characters', () => {
    assert.equal(shortName('short'), 'short');
    for (const name of ['x'.repeat(300), 'é'.repeat(200), ...['', 'x', 'xx', 'xxx'].map((start) => start + '😀'.repeat(100))]) {
      const cut = shortName(name);
      assert.isAtMost(Buffer.byteLength(cut), 256);
      assert.isTrue(name.startsWith(cut.slice(0, -1)));
      assert.equal(Buffer.from(cut).toString(), cut);
    }
  });
});
