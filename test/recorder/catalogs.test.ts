import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { defineCatalog, isFondacoError, loadCatalogs, Recorder } from '../../recorder/index.ts';
import { ProcessRecorder } from '../../recorder/process-wide.ts';
import { MemoryRecorder } from '../../recorder/testing.ts';
import { assertBalanced, RecorderKit } from '../support/recorder-kit.ts';

const PortEvents = defineCatalog('port', {
  Down: { severity: 'warn', dedupFields: ['object', 'attributes.port'] },
  Up: {},
});
const GRID = fileURLToPath(new URL('../catalog/svc_grid.proto', import.meta.url));

describe('a recorder with catalogs', () => {
  const kit = new RecorderKit();
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  it('takes their types, with the severity and the dedup fields of each', async () => {
    const proxy = await kit.proxy();
    const recorder = await kit.open(proxy, { catalogs: [PortEvents] });
    recorder.event(PortEvents.Down, undefined, 'm1', { attributes: { port: 7, n: 1 } });
    recorder.event(PortEvents.Down, 'error', 'm2', { attributes: { n: 2, port: 7 } });
    recorder.event(PortEvents.Up, 'info', 'm3');
    await recorder.record(PortEvents.Down, undefined, 'm4');
    assert.deepEqual(
      proxy.events.map(({ type, severity, message }) => `${type} ${severity} ${message}`),
      ['port.Down warn m1', 'port.Down error m2', 'port.Up info m3', 'port.Down warn m4'],
    );
    assert.isEmpty(kit.errors);
  });

  it('refuses others, naming the nearest, and a severity that nobody gives', async () => {
    const proxy = await kit.proxy();
    const recorder = await kit.open(proxy, { catalogs: [PortEvents] });
    assert.isUndefined(recorder.event('port.Dwon', 'info', 'm'));
    assert.isUndefined(recorder.event(PortEvents.Up, undefined, 'm'));
    const error = await recorder.record('disk.Full', 'info', 'm').catch((thrown: unknown) => thrown);
    assert.isTrue(isFondacoError(error, 'REJECTED'));
    assert.deepEqual(
      kit.errors.map((each) => each.message),
      [
        '[REJECTED] type must be one of the catalogs, such as port.Down, got "port.Dwon"',
        '[REJECTED] severity must be one of debug, info, warn, error, critical, got nothing',
      ],
    );
    assert.deepInclude(recorder.status().ledger, { recorded: 3, rejected: 3 });
    assertBalanced(recorder.status());
    const strict = new MemoryRecorder({ catalogs: [PortEvents] });
    assert.throws(() => strict.event('port.Dwon', 'info', 'm'), 'such as port.Down');
  });

  it('makes a dedupKey of the dedup fields, unless the call has one', () => {
    const memory = new MemoryRecorder({ catalogs: [PortEvents] });
    const object = { kind: 'Switch', name: 'sw-17' };
    memory.event(PortEvents.Down, undefined, 'a', { object, attributes: { port: 7, n: 1 } });
    memory.event(PortEvents.Down, undefined, 'b', { object, attributes: { port: 7, n: 2 } });
    memory.event(PortEvents.Down, undefined, 'c', { object, attributes: { port: 8 } });
    memory.event(PortEvents.Down, undefined, 'd', { object, dedupKey: 'mine' });
    memory.event(PortEvents.Up, 'info', 'e', { object });
    const [a, b, c, d, e] = memory.events.map(({ dedupKey }) => dedupKey);
    assert.equal(a, '[["Switch","sw-17","","",""],"7"]');
    assert.equal(b, a);
    assert.notEqual(c, a);
    assert.equal(d, 'mine');
    assert.isUndefined(e);
  });

  it('fills in, at open(), what calls before it left to the catalogs, and refuses what they do not have', async () => {
    const proxy = await kit.proxy();
    const own = new ProcessRecorder();
    own.event(PortEvents.Down, undefined, 'early');
    own.event('port.Dwon', 'info', 'wrong');
    own.event(PortEvents.Up, undefined, 'without a severity');
    const spool = { directory: kit.directory };
    await own.open({
      component: 'cmd',
      proxy: proxy.address,
      spool,
      catalogs: [PortEvents],
      strict: true,
      onError: (error) => kit.errors.push(error),
    });
    await own.flush();
    assert.deepEqual(
      proxy.events.map(({ severity, message }) => `${severity} ${message}`),
      ['warn early'],
    );
    assert.lengthOf(kit.errors, 2);
    assert.deepInclude(own.status().ledger, { recorded: 3, settled: 1, rejected: 2 });
    assertBalanced(own.status());
    await own.close();
  });

  it('wants a severity at open() for calls before it where there are no catalogs', async () => {
    const proxy = await kit.proxy();
    const own = new ProcessRecorder();
    own.event('a.B', undefined, 'm');
    await own.open({ component: 'cmd', proxy: proxy.address, spool: false, onError: (error) => kit.errors.push(error) });
    assert.deepEqual(
      kit.errors.map((error) => error.message),
      ['[REJECTED] severity must be one of debug, info, warn, error, critical, got nothing'],
    );
    await own.close();
  });

  it('may load them when it runs', async () => {
    const memory = new MemoryRecorder({ catalogs: await loadCatalogs([GRID]) });
    memory.event('grid.PhaseLost', 'error', 'm');
    assert.throws(() => memory.event('grid.PhaseLos', 'error', 'm'), 'such as grid.PhaseLost');
    const power = new MemoryRecorder({ catalogs: await loadCatalogs(GRID, { prefix: 'power' }) });
    power.event('power.PhaseLost', 'error', 'm');
  });

  const bad: [catalogs: unknown, says: string][] = [
    [PortEvents, 'catalogs must be a list of catalogs, got "object"'],
    [['port'], 'catalogs[0] must be made by defineCatalog or loadCatalogs, got string'],
    [[PortEvents, PortEvents], 'catalogs[1] must have types of its own, got port.Down, which an earlier one has'],
  ];
  for (const [catalogs, says] of bad) {
    it(`rejects options with ${says}`, async () => {
      const error = await Recorder.open({ component: 'c', spool: false, catalogs: catalogs as never }).catch((thrown: unknown) => thrown);
      assert.isTrue(isFondacoError(error, 'CONFIG'), String(error));
      assert.include((error as Error).message, says);
    });
  }
});
