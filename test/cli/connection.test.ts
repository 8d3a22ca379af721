import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, expect } from 'chai';
import { apiOptions, recorderSecurity, type ConnectionFlags } from '../../cli/connection.ts';
import { ExitError } from '../../cli/exit.ts';
import { FondacoError } from '../../core/errors.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('connection flags', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let file: string;
  before(async () => {
    ({ path: folder, remove } = await tempDirectory());
    file = join(folder, 'pem');
    writeFileSync(file, 'from-a-file\n');
  });
  after(async () => remove());

  const token = 'a-token-of-the-proxy';
  const good: [what: string, flags: () => ConnectionFlags, env: () => Record<string, string>, url: string, token?: string][] = [
    ['nothing', () => ({}), () => ({}), 'http://127.0.0.1:7071'],
    ['an empty environment', () => ({}), () => ({ FONDACO_API: '', FONDACO_CA: '', FONDACO_TOKEN: '' }), 'http://127.0.0.1:7071'],
    ['a CA', () => ({ ca: file }), () => ({}), 'https://127.0.0.1:7071'],
    ['a CA of the environment', () => ({}), () => ({ FONDACO_CA: file }), 'https://127.0.0.1:7071'],
    ['an address before that of the environment', () => ({ api: 'http://h:1' }), () => ({ FONDACO_API: 'http://i:2' }), 'http://h:1'],
    ['a token over TLS', () => ({ api: 'https://h:1', token }), () => ({}), 'https://h:1', token],
    ['a token on loopback', () => ({ api: 'http://[::1]:1', token }), () => ({}), 'http://[::1]:1', token],
    ['a token and a socket', () => ({ api: 'unix:/run/x' }), () => ({ FONDACO_TOKEN: token }), 'unix:/run/x', token],
    ['a token file', () => ({ tokenFile: file }), () => ({ FONDACO_TOKEN: token }), 'http://127.0.0.1:7071', 'from-a-file'],
    ['a token file of the environment', () => ({}), () => ({ FONDACO_TOKEN_FILE: file }), 'http://127.0.0.1:7071', 'from-a-file'],
  ];
  for (const [what, flags, env, url, expected] of good) {
    it(`take ${what}`, () => {
      const api = apiOptions(flags(), env());
      assert.deepEqual([api.url, api.token], [url, expected]);
    });
  }

  const bad: [flags: () => ConnectionFlags, says: RegExp, exitCode?: number][] = [
    [() => ({ api: 'ftp://h' }), /--api must be an http:\/\/ or https:\/\/ URL or unix:\/path, got "ftp:\/\/h"/],
    [() => ({ api: 'h:7071' }), /--api must be/],
    [() => ({ ca: join(folder, 'none') }), /--ca must be a readable file, ENOENT/, 66],
    [() => ({ cert: file }), /--cert and --key \(FONDACO_CERT, FONDACO_KEY\) go together/],
    [() => ({ key: file }), /go together/],
    [() => ({ api: 'http://h:1', ca: file }), /--api must be https:\/\/ where a CA is given, got "http:\/\/h:1"/],
    [() => ({ api: 'http://h:1', token }), /--api must be https:\/\/ where a token is sent beyond this machine/],
    [() => ({ token, tokenFile: file }), /exclude each other/],
    [() => ({ token: 'two words' }), /the token must be ASCII without spaces, got something else$/],
    [() => ({ tokenFile: folder }), /--token-file must be a readable file, EISDIR/, 66],
  ];
  for (const [flags, says, exitCode = 64] of bad) {
    it(`refuse what ${says.source.slice(0, 50)}… says`, () => {
      expect(() => apiOptions(flags(), {}))
        .to.throw(ExitError, says)
        .with.property('exitCode', exitCode);
    });
  }

  const wrongEnvironment: [env: () => Record<string, string>, says: RegExp][] = [
    [() => ({ FONDACO_API: 'ftp://h' }), /FONDACO_API must be an http/],
    [() => ({ FONDACO_API: 'http://h:1', FONDACO_TOKEN: token }), /FONDACO_API must be https:\/\/ where a token is sent/],
    [() => ({ FONDACO_CA: join(folder, 'none') }), /FONDACO_CA must be a readable file, ENOENT/],
    [() => ({ FONDACO_TOKEN_FILE: folder }), /FONDACO_TOKEN_FILE must be a readable file, EISDIR/],
    [() => ({ FONDACO_CERT: file }), /go together/],
    [() => ({ FONDACO_TOKEN: 'two words' }), /must be ASCII/],
  ];
  for (const [env, says] of wrongEnvironment) {
    it(`blame the environment for what ${says.source.slice(0, 50)}… says`, () => {
      expect(() => apiOptions({}, env()))
        .to.throw(FondacoError, says)
        .with.property('code', 'CONFIG');
    });
  }

  it('name a flag of record whose file is not there', () => {
    assert.throws(() => recorderSecurity({ ca: join(folder, 'none') }, {}), ExitError, /--ca must be a readable file/);
  });
});
