import { assert } from 'chai';
import { checkOptions } from '../../recorder/options.ts';

const check = (options: object, env: NodeJS.ProcessEnv = { HOME: '/home/me' }) => checkOptions({ component: 'cmd', ...options }, env);

describe('recorder/options', () => {
  const wrong: [options: object, says: RegExp][] = [
    [{ component: undefined }, /^\[CONFIG\] component must be a string of 1 to 256 bytes, got nothing$/],
    [{ node: '' }, /node must be/],
    [{ proxy: 'localhost' }, /proxy must be `host:port` or `unix:\/path`, got "localhost"/],
    [{ proxy: [] }, /proxy must be at least one address/],
    [{ spool: { directory: '' } }, /spool\.directory must be a path/],
    [{ spool: { bytesMax: 5 } }, /spool\.bytesMax must be a number of bytes from 1048576, got 5/],
    [{ spool: { whenFull: 'panic' } }, /spool\.whenFull must be drop-oldest or drop-newest, got "panic"/],
    [{ spool: { size: 1 } }, /spool must be an object with any of directory, bytesMax, whenFull, got "size"/],
    [{ durability: 'disk' }, /durability must be memory or spool/],
    [{ urgent: 'loud' }, /urgent must be one of debug, info, warn, error, critical, got "loud"/],
    [{ closeOn: 'SIGTERM' }, /closeOn must be a list of signals/],
    [{ onError: 1 }, /onError must be a function/],
    [{ colour: 'red' }, /options must be an object with any of .*, got "colour"/],
  ];
  for (const [options, says] of wrong) {
    it(`refuses ${JSON.stringify(options)}`, () => assert.throws(() => check(options), says));
  }

  it('finds the proxy: option, FONDACO_PROXY, then the default', () => {
    assert.deepEqual(check({ proxy: ['a:1', 'unix:/run/x.sock'] }).proxies, ['a:1', 'unix:/run/x.sock']);
    assert.deepEqual(check({}, { FONDACO_PROXY: 'a:1, b:2' }).proxies, ['a:1', 'b:2']);
    assert.deepEqual(check({}).proxies, ['127.0.0.1:7070']);
  });

  it('finds the spool directory: option, FONDACO_SPOOL_DIR, systemd, XDG, home', () => {
    const env = { FONDACO_SPOOL_DIR: '/f', STATE_DIRECTORY: '/s:/t', XDG_STATE_HOME: '/x', HOME: '/h' };
    assert.strictEqual(check({ spool: { directory: '/o' } }, env).spoolDirectory, '/o/cmd');
    assert.strictEqual(check({}, env).spoolDirectory, '/f/cmd');
    assert.strictEqual(check({}, { ...env, FONDACO_SPOOL_DIR: '' }).spoolDirectory, '/s/spool/cmd');
    assert.strictEqual(check({}, { XDG_STATE_HOME: '/x', HOME: '/h' }).spoolDirectory, '/x/fondaco/spool/cmd');
    assert.strictEqual(check({}, { HOME: '/h' }).spoolDirectory, '/h/.local/state/fondaco/spool/cmd');
    assert.isUndefined(check({ spool: false }, env).spoolDirectory);
  });

  it('keeps a component inside the spool directory, whatever it is called', () => {
    assert.strictEqual(check({ component: '../../etc', spool: { directory: '/o' } }).spoolDirectory, '/o/%2E.%2F..%2Fetc');
    assert.strictEqual(check({ component: '..', spool: { directory: '/o' } }).spoolDirectory, '/o/%2E.');
  });
});
