import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { assert } from 'chai';
import { checkData, checkPort, clockFinding } from '../../cli/doctor-machine.ts';
import { doctorScreen, otherProxy } from '../../cli/doctor.ts';
import { loadConfig, type ProxyConfig } from '../../proxy/config.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('doctor', () => {
  let folder: string;
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
  });
  afterEach(async () => remove());

  const configFor = async (data: string): Promise<ProxyConfig> => {
    writeFileSync(join(folder, 'fondaco.yaml'), `data: ${JSON.stringify(data)}\n`);
    return loadConfig(join(folder, 'fondaco.yaml'), { env: {}, cwd: folder });
  };

  it('measures synced writes in the data directory and leaves nothing there', async () => {
    const data = join(folder, 'data');
    mkdirSync(data);
    const [written, room] = await checkData(await configFor(data));
    assert.match(written?.message ?? '', /data; a synced write takes \d+\.\d ms \(median of 20\)$/);
    assert.match(room?.message ?? '', /free, the journal has 0 B of 4 GiB$/);
    assert.deepEqual(readdirSync(data), []);
  });

  it('does not make a data directory that is not there', async () => {
    const [written] = await checkData(await configFor(join(folder, 'not', 'yet')));
    assert.include(written?.message, 'is not there yet and will be made');
    assert.deepEqual(readdirSync(folder), ['fondaco.yaml']);
  });

  it('fails for a data directory that is a file, or that cannot be written to', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const [finding] = await checkData(await configFor(file));
    assert.deepInclude(finding, { check: 'data', level: 'fail' });
    if (process.getuid?.() === 0) return; // for whom everything can be written to
    mkdirSync(join(folder, 'closed'));
    chmodSync(join(folder, 'closed'), 0o500);
    assert.deepInclude((await checkData(await configFor(join(folder, 'closed'))))[0], { level: 'fail' });
  });

  it('judges the clock', () => {
    const now = new Date('2026-11-22T08:00:00Z');
    assert.equal(clockFinding(now, 3).level, 'ok');
    assert.equal(clockFinding(now, -5000).level, 'warn');
    assert.equal(clockFinding(new Date(0), 0).level, 'fail');
    assert.equal(clockFinding(new Date('2199-01-01T00:00:00Z'), 0).level, 'fail');
  });

  it('tells ports that are free, taken by the proxy, taken by another, or not ours to take', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const taken = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    try {
      assert.equal((await checkPort('http port', taken, 'ours')).level, 'ok');
      assert.include(await checkPort('http port', taken, 'none'), { level: 'fail' });
      assert.include(await checkPort('http port', taken, 'other'), { level: 'fail' });
      assert.include(await checkPort('http port', taken, 'unknown'), { level: 'warn' });
    } finally {
      server.close();
      await once(server, 'close');
    }
    assert.equal((await checkPort('http port', taken, 'none')).level, 'ok');
    assert.equal((await checkPort('http port', taken, 'other')).level, 'ok');
    assert.equal((await checkPort('http port', taken, 'ours')).level, 'warn');
    assert.equal((await checkPort('http port', { host: '127.0.0.1', port: 0 }, 'none')).level, 'ok');
    assert.equal((await checkPort('http port', { path: join(folder, 'none.sock') }, 'none')).level, 'ok');
    const foreign = await checkPort('http port', { host: '192.0.2.1', port: 7071 }, 'none'); // RFC 5737: nobody's
    assert.deepInclude(foreign, { level: 'fail', hint: 'name another address' });
  });

  it('takes no other proxy for its own: another site, machine or data directory', async () => {
    const config = await configFor(join(folder, 'data'));
    const ours = { site: config.site, node: 'host', data: join(folder, 'data') };
    assert.isUndefined(otherProxy(ours, config, 'host'));
    mkdirSync(join(folder, 'data'));
    symlinkSync(folder, join(folder, 'link'));
    assert.isUndefined(otherProxy({ ...ours, data: join(folder, 'link', 'data') }, config, 'host'), 'by another name');
    assert.equal(
      otherProxy({ ...ours, data: '/other' }, config, 'host'),
      `what answers is not the proxy of this config: it has data /other; the config data ${realpathSync(ours.data)}`,
    );
    assert.include(otherProxy({ ...ours, site: 'a' }, config, 'host'), `it has site a; the config site ${config.site}`);
    assert.include(otherProxy({ ...ours, node: 'there' }, config, 'host'), 'it has node there');
  });

  it('prints what to do below what it found', () => {
    assert.equal(
      doctorScreen([
        { check: 'config', level: 'ok', message: 'a.yaml' },
        { check: 'proxy', level: 'warn', message: 'no answer', hint: 'start it' },
      ]),
      'ok    config  a.yaml\nwarn  proxy   no answer\n              → start it\n\n0 failures, 1 warning',
    );
    assert.match(doctorScreen([{ check: 'config', level: 'ok', message: 'a' }]), /\n\nall is well$/);
  });
});
