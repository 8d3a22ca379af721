import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { apiOptions, type ConnectionFlags } from '../../cli/connection.ts';
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

  const bad: [flags: () => ConnectionFlags, says: RegExp][] = [
    [() => ({ api: 'ftp://h' }), /--api must be an http:\/\/ or https:\/\/ URL or unix:\/path, got "ftp:\/\/h"/],
    [() => ({ api: 'h:7071' }), /--api must be/],
    [() => ({ ca: join(folder, 'none') }), /--ca must be a readable file, ENOENT/],
    [() => ({ cert: file }), /--cert and --key \(FONDACO_CERT, FONDACO_KEY\) go together/],
    [() => ({ key: file }), /go together/],
    [() => ({ api: 'http://h:1', ca: file }), /--api must be https:\/\/ where a CA is given, got "http:\/\/h:1"/],
    [() => ({ api: 'http://h:1', token }), /--api must be https:\/\/ where a token is sent beyond this machine/],
    [() => ({ token, tokenFile: file }), /exclude each other/],
    [() => ({ token: 'two words' }), /the token must be ASCII without spaces, got something else$/],
    [() => ({ tokenFile: folder }), /--token-file must be a readable file, EISDIR/],
  ];
  for (const [flags, says] of bad) {
    it(`refuse what ${says.source.slice(0, 50)}… says`, () => {
      assert.throws(() => apiOptions(flags(), {}), says);
    });
  }
});
