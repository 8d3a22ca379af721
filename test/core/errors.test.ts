import { assert } from 'chai';
import { asError, FondacoError, isFondacoError } from '../../core/errors.ts';

describe('errors', () => {
  it('begin with their code, carry their facts, and keep their cause', () => {
    const cause = new Error('ECONNREFUSED');
    const error = new FondacoError('UNAVAILABLE', 'the proxy must answer, got nothing', { cause, retryAfterMs: 5000 });
    assert.equal(error.message, '[UNAVAILABLE] the proxy must answer, got nothing');
    assert.equal(error.text, 'the proxy must answer, got nothing');
    assert.equal(error.cause, cause);
    assert.equal(error.facts.retryAfterMs, 5000);
    assert.instanceOf(error, Error);
  });

  it('have no cause where none was given', () => {
    assert.isFalse('cause' in new FondacoError('FULL', 'no room'));
  });

  it('are told apart by code, and recognised from another copy of the package', () => {
    const error = new FondacoError('FULL', 'no room');
    assert.isTrue(isFondacoError(error));
    assert.isTrue(isFondacoError(error, 'FULL'));
    assert.isFalse(isFondacoError(error, 'CONFIG'));
    const foreign = Object.assign(new Error('[FULL] no room'), { name: 'FondacoError', code: 'FULL' });
    assert.isTrue(isFondacoError(foreign, 'FULL'));
    for (const other of [
      new Error('x'),
      Object.assign(new Error('x'), { code: 'FULL' }),
      { name: 'FondacoError', code: 'FULL' },
      'FULL',
      null,
      undefined,
    ]) {
      assert.isFalse(isFondacoError(other));
    }
  });

  it('can be made of whatever was thrown', () => {
    const error = new RangeError('x');
    assert.equal(asError(error), error);
    assert.equal(asError('text').message, 'text');
    assert.equal(asError(undefined).message, 'undefined');
  });
});
