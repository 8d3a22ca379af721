import { assert } from 'chai';
import { FondacoError } from '../../../core/errors.ts';
import type { Writer } from '../../../core/writer.ts';
import { LateWriter } from '../../../dispatcher/feed/late-writer.ts';
import { feedSettings } from '../../../dispatcher/writer-settings.ts';
import { failure } from '../../contract/writer-contract.ts';

describe('a writer that is opened by its first write', () => {
  const never = new AbortController().signal;

  it('opens once for both lanes, and closes what was opened', async () => {
    let opened = 0;
    const seen: string[] = [];
    const inner: Writer = { write: async () => void seen.push('write'), close: async () => void seen.push('close') };
    const writer = new LateWriter(async () => {
      opened++;
      return inner;
    });
    assert.equal(opened, 0);
    await Promise.all([writer.write([], never), writer.write([], never)]);
    await writer.close();
    assert.equal(opened, 1);
    assert.deepEqual(seen, ['write', 'write', 'close']);
    assert.equal((await failure(writer.write([], never))).code, 'UNAVAILABLE');
  });

  it('gives what keeps it from opening as the state of this writer, and tries again', async () => {
    const outcomes: (() => Writer)[] = [
      () => {
        throw new FondacoError('CONFIG', 'there is no such driver');
      },
      () => {
        throw new Error('ERR_MODULE_NOT_FOUND');
      },
      () => ({ write: async () => undefined }),
    ];
    const writer = new LateWriter(async () => outcomes.shift()!());
    const first = await failure(writer.write([], never));
    assert.equal(first.code, 'REFUSED');
    assert.include(first.message, 'there is no such driver');
    assert.equal((await failure(writer.write([], never))).code, 'UNAVAILABLE');
    await writer.write([], never);
    await writer.close();
  });

  it('hides in all that the writer says what must not be shown, and keeps code and facts', async () => {
    const hide = (text: string): string => text.replaceAll('s3cret', '***');
    const refusal = new FondacoError('REFUSED', 'POST /s3cret: got 403', {
      status: '403',
      answer: 'no s3cret of ours',
      cause: new Error('connect to s3cret'),
    });
    const outcomes: (() => Writer)[] = [
      () => {
        throw new FondacoError('CONFIG', 'no such place as s3cret');
      },
      () => ({
        write: () => Promise.reject(refusal),
        warnings: () => ['its clock (s3cret) is late'],
      }),
    ];
    const writer = new LateWriter(async () => outcomes.shift()!(), hide);
    assert.include((await failure(writer.write([], never))).message, 'no such place as ***');
    const error = await failure(writer.write([], never));
    assert.deepEqual(
      { message: error.message, facts: error.facts },
      {
        message: '[REFUSED] POST /***: got 403',
        facts: { status: '403', answer: 'no *** of ours' },
      },
    );
    assert.deepEqual(writer.warnings(), ['its clock (***) is late']);
    await writer.close();
  });

  it('hides also in what a writer says that is open already', async () => {
    const open: Writer = { write: () => Promise.reject(new FondacoError('UNAVAILABLE', 'no s3cret')) };
    const [settings] = feedSettings([{ name: 'ops', writer: open, hide: (text) => text.replaceAll('s3cret', '***') }]);
    assert.equal((await failure(settings!.writer.write([], never))).message, '[UNAVAILABLE] no ***');
  });

  it('gives an opening up that hangs when the write is aborted, closes what comes of it late, and opens anew', async () => {
    const closed: string[] = [];
    const opened = (name: string): Writer => ({ write: async () => undefined, close: async () => void closed.push(name) });
    let finish: (writer: Writer) => void = () => undefined;
    const openings = [() => new Promise<Writer>((resolve) => (finish = resolve)), async () => opened('second')];
    const writer = new LateWriter(async () => openings.shift()!());
    const stop = new AbortController();
    const writing = failure(writer.write([], stop.signal));
    stop.abort();
    assert.equal((await writing).code, 'UNAVAILABLE');
    await writer.write([], never);
    finish(opened('first'));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(closed, ['first']);
    await writer.close();
    assert.deepEqual(closed, ['first', 'second']);
  });

  it('has the resendWindow of the writer behind it, and refuses one that is none', async () => {
    const windows: unknown[] = [-1, 'many', 20];
    const writer = new LateWriter(async () => ({ resendWindow: windows.shift() as number, write: async () => undefined }));
    assert.equal((await failure(writer.write([], never))).code, 'REFUSED');
    assert.include((await failure(writer.write([], never))).message, 'resendWindow of a writer must be a whole number from 0, got many');
    assert.isUndefined(writer.resendWindow);
    await writer.write([], never);
    assert.equal(writer.resendWindow, 20);
  });
});
