import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { freePorts } from '../../demo/free-ports.ts';
import type { SiteStatus } from '../../dispatcher/sites.ts';
import type { ProxyStatus } from '../../proxy/status.ts';
import { loadConfig } from '../../proxy/config.ts';
import { runProxy } from '../../proxy/proxy.ts';
import { Recorder } from '../../recorder/recorder.ts';
import { SiteCertificates } from '../support/site-certificates.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 60_000;
const FAST = { batch: { interval: '10ms' }, retry: { policy: 'backoff', initial: '20ms', max: '200ms' } };

describe('proxies above proxies', function () {
  this.timeout(4 * LIMIT_MS);
  let folder: string;
  let certificates: SiteCertificates;
  let remove: () => Promise<void>;
  let ports: number[];
  let running: Map<string, () => Promise<void>>;

  beforeEach(async () => {
    ({ folder, site: certificates, remove } = await SiteCertificates.inFolder());
    ports = await freePorts(4, Math.random);
    running = new Map();
  });
  afterEach(async () => {
    await Promise.all([...running.values()].map(async (stop) => stop()));
    await remove();
  });

  const grpc = (at: number): string => `127.0.0.1:${ports[2 * at]}`;
  const http = (at: number): string => `127.0.0.1:${ports[2 * at + 1]}`;

  /** A proxy in this process, at one of the two places. */
  async function start(site: string, at: number, more: object): Promise<void> {
    mkdirSync(join(folder, site), { recursive: true });
    const listen = { grpc: grpc(at), http: http(at), ...('listen' in more ? (more.listen as object) : {}) };
    const config = await loadConfig({ site, data: `./${site}`, heartbeat: '100ms', ...more, listen }, { env: {}, cwd: folder });
    const stop = new AbortController();
    await new Promise<void>((resolve, reject) => {
      const proxy = runProxy(config, { version: '1.2.3', ready: () => resolve() }, stop.signal);
      proxy.catch(reject);
      running.set(site, async () => {
        stop.abort();
        running.delete(site);
        await proxy;
      });
    });
  }
  const upstream = (at: number, more: object = {}): object => ({ name: 'up', kind: 'upstream', address: grpc(at), ...FAST, ...more });
  const ask = async <T>(at: number, path: string): Promise<T> => (await (await fetch(`http://${http(at)}${path}`)).json()) as T;
  const sites = async (at: number): Promise<SiteStatus[]> => (await ask<{ sites: SiteStatus[] }>(at, '/v1/sites')).sites;
  const types = async (at: number, type: string): Promise<{ message: string; source: { site: string } }[]> =>
    (await ask<{ events: { message: string; source: { site: string } }[] }>(at, `/v1/events?type=${type}&limit=1000`)).events;
  const record = async (at: number, type: string): Promise<string> => {
    const recorder = await Recorder.open({ component: 'cmd', proxy: grpc(at), spool: false });
    const id = recorder.event(type, 'info', 'm')!;
    await recorder.flush();
    await recorder.close();
    return id;
  };

  it('stops a loop, tells it once, and lets what is new through', async () => {
    await start('a', 0, { writers: [upstream(1)] });
    await start('b', 1, { writers: [upstream(0)] });
    for (const [at, type] of [
      [0, 'test.FromA'],
      [1, 'test.FromB'],
    ] as const) {
      const id = await record(at, type);
      for (const each of [0, 1]) await until(`${type} is at ${each}`, async () => (await types(each, type)).length > 0, LIMIT_MS);
      expect((await ask<{ id: string }>(1 - at, `/v1/events/${id}`)).id).to.equal(id);
    }
    for (const each of [0, 1]) {
      await until('the loop is told', async () => (await types(each, 'fondaco.ForwardingLoop')).length > 0, LIMIT_MS);
      for (const type of ['test.FromA', 'test.FromB']) expect(await types(each, type)).to.have.lengthOf(1);
      const told = (await types(each, 'fondaco.ForwardingLoop')).map(({ source }) => source.site);
      expect([...told].sort()).to.deep.equal([...new Set(told)].sort());
      const { writers, isBalanced } = await ask<ProxyStatus>(each, '/v1/status');
      expect({ state: writers[0]?.state, dead: writers[0]?.dead, isBalanced }).to.deep.equal({
        state: 'delivering',
        dead: 0,
        isBalanced: true,
      });
    }
  });

  it('tells that a site is silent, and that it is back, once each, whatever restarts above', async () => {
    const above = { writers: [] };
    await start('region', 1, above);
    await start('plant', 0, { writers: [upstream(1)] });
    await until('it is heard', async () => (await sites(1)).length === 1, LIMIT_MS);
    const [plant] = await sites(1);
    expect(plant).to.include({ site: 'plant', state: 'alive', version: '1.2.3', lost: 0 });
    expect(plant?.via).to.deep.equal(['plant']);
    await running.get('plant')!();
    await until('it is silent', async () => (await sites(1))[0]?.state === 'silent', LIMIT_MS);
    await until('that is told', async () => (await types(1, 'fondaco.SiteSilent')).length === 1, LIMIT_MS);
    await running.get('region')!();
    await start('region', 1, above);
    expect((await sites(1))[0]).to.include({ site: 'plant', state: 'silent' });
    await start('plant', 0, { writers: [upstream(1)] });
    await until('it is back', async () => (await types(1, 'fondaco.SiteBack')).length === 1, LIMIT_MS);
    expect((await sites(1))[0]?.state).to.equal('alive');
    expect((await types(1, 'fondaco.SiteSilent')).length).to.be.greaterThan(0);
    await running.get('plant')!();
    const forget = async (): Promise<number> => (await fetch(`http://${http(1)}/v1/sites/plant`, { method: 'DELETE' })).status;
    expect([await forget(), await forget()]).to.deep.equal([200, 404]);
    expect(await sites(1)).to.deep.equal([]);
  });

  it('goes over TLS with a client certificate and a token; with another token it is refused', async () => {
    const tls = { cert: certificates.path('server.crt'), key: certificates.path('server.key'), clientCa: certificates.path('ca.crt') };
    const token = certificates.token;
    const wrong = `${token.slice(0, -4)}AAAA`;
    await start('region', 1, { writers: [], listen: { tls, token } });
    const client = { ca: certificates.path('ca.crt'), cert: certificates.path('agent.crt'), key: certificates.path('agent.key') };
    const good = upstream(1, { name: 'good', tls: client, token });
    await start('plant', 0, { writers: [good, upstream(1, { name: 'bad', tls: client, token: wrong })] });
    await record(0, 'test.Secret');
    const states = async (): Promise<Record<string, ProxyStatus['writers'][number]>> =>
      Object.fromEntries((await ask<ProxyStatus>(0, '/v1/status')).writers.map((writer) => [writer.name, writer]));
    await until('one delivers', async () => (await states()).good!.lanes.normal.seq > 0, LIMIT_MS);
    await until('the other is refused', async () => (await states()).bad!.state === 'refused', LIMIT_MS);
    expect(JSON.stringify(await states())).to.not.contain(wrong);
    expect((await states()).good).to.include({ state: 'delivering', promise: 'once' });
  });
});
