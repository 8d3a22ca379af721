import { assert } from 'chai';
import { isFondacoError } from '../../core/errors.ts';
import { ProcessRecorder, recorder } from '../../recorder/process-wide.ts';
import { assertBalanced, RecorderKit } from '../support/recorder-kit.ts';
import { until } from '../support/until.ts';

const kit = new RecorderKit();

describe('the recorder of the process', () => {
  beforeEach(() => kit.start());
  afterEach(() => kit.end());

  it('is one, even if two copies of the package are loaded', async () => {
    const other = (await import(`../../recorder/process-wide.ts?copy=${process.pid}`)) as { recorder: unknown; ProcessRecorder: unknown };
    assert.notStrictEqual(other.ProcessRecorder, ProcessRecorder, 'it is another copy');
    assert.strictEqual(other.recorder, recorder);
  });

  it('takes calls before open(), copied at the call, and sends them after', async () => {
    const proxy = await kit.proxy();
    const own = new ProcessRecorder();
    const attributes = { n: 1 };
    assert.isUndefined(own.event('a.B', 'info', 'early', { attributes }));
    assert.isUndefined(own.event('a.B', 'critical', 'other', { source: { node: 'n9' } }));
    const recorded = own.record('a.B', 'info', 'awaited', { attributes });
    attributes.n = 2;
    assert.deepInclude(own.status().ledger, { recorded: 3, queued: 3 });
    assertBalanced(own.status());
    await own.open({ component: 'cmd', node: 'n1', proxy: proxy.address, spool: { directory: kit.directory } });
    assert.strictEqual((await recorded).level, 'proxy');
    own.event('a.B', 'info', 'late');
    await own.flush();
    assert.sameOrderedMembers(
      proxy.messages.filter((message) => message !== 'other'),
      ['early', 'awaited', 'late'],
    );
    assert.deepEqual(
      proxy.events.filter(({ message }) => message !== 'late' && message !== 'other').map((event) => event.attributes),
      [{ n: 1 }, { n: 1 }],
    );
    assert.deepEqual(proxy.events.map(({ source }) => `${source.node}/${source.component}`).sort(), [
      'n1/cmd',
      'n1/cmd',
      'n1/cmd',
      'n9/cmd',
    ]);
    assert.strictEqual(own.status().ledger.recorded, 4);
    assertBalanced(own.status());
    await own.close();
  });

  it('keeps 1,000 calls before open(), counts and declares the rest, and reports mistakes at open()', async () => {
    const proxy = await kit.proxy();
    const own = new ProcessRecorder();
    for (let n = 0; n < 1200; n++) own.event('a.B', 'info', `m${n}`);
    own.event('no good', 'info', 'm');
    assert.deepInclude(own.status().ledger, { recorded: 1201, queued: 1000, dropped: 200, rejected: 1 });
    await own.open({ component: 'cmd', proxy: proxy.address, spool: false, onError: (error) => kit.errors.push(error) });
    await until('they are settled', () => own.status().ledger.settled === 1000);
    assert.deepInclude(own.status().ledger, { recorded: 1201, queued: 0, dropped: 200, rejected: 1 });
    assertBalanced(own.status());
    assert.sameMembers(
      kit.errors.map((error) => error.code),
      ['REJECTED', 'FULL'],
    );
    await until('the loss is declared', () => proxy.model.lost.length === 1);
    assert.deepInclude(proxy.model.lost[0], { range: { first: 1001, last: 1200 }, cause: 'memory-full' });
    await own.close();
  });

  it('is opened once, and may be opened again after wrong options', async () => {
    const own = new ProcessRecorder();
    const wrong = await own.open({ component: '' }).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.isTrue(isFondacoError(wrong, 'CONFIG'));
    assert.match(String(wrong), /\[CONFIG\] component must be a string of 1 to 256 bytes, got ""/);
    await own.open({ component: 'cmd', proxy: (await kit.nobody()).address, spool: false });
    const twice = await own.open({ component: 'cmd' }).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.isTrue(isFondacoError(twice, 'CONFIG'));
    await own.close();
  });
});
