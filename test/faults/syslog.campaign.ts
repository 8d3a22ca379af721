/**
 * rsyslog is stopped and killed again and again while events flow to it over RELP, TCP and TLS; and, in the long form, 10,000 events with nasty
 * text go over every transport to rsyslog and syslog-ng. Both are Debian's (scripts/setup.mjs); without them there is nothing to count.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { LANES } from '../../core/lane.ts';
import { Authority, missingOpenssl } from '../support/certificates.ts';
import { pause } from '../support/pause.ts';
import { seeded } from '../support/seeded.ts';
import { Site } from '../support/site.ts';
import { nastyRow, NASTY_WAYS } from '../support/syslog-nasty.ts';
import { judgeSyslog } from '../support/syslog-judge.ts';
import { missingServer, SyslogServer } from '../support/syslog-server.ts';
import { until } from '../support/until.ts';
import type { Campaign, CampaignOrder, FaultRow } from './campaign.ts';

const TRANSPORTS = ['relp', 'tcp', 'tls'] as const;
const RESTARTS = { short: 2, long: 10 };
const NASTY_EVENTS = 10_000;
const BURST = 20;
const BURST_MS = 10;

const campaign: Campaign = {
  title: 'syslog: servers that are restarted under load',
  repeats: 'what RELP had not answered, and what TCP and TLS had sent within their resend window, comes again',
  async *run(order) {
    const missing = missingServer('rsyslog') ?? missingServer('syslog-ng') ?? missingOpenssl();
    if (missing !== undefined) throw new Error(missing);
    const ways = order.form === 'long' ? NASTY_WAYS : [];
    yield* restarts(order, 1 + ways.length);
    for (const [i, way] of ways.entries()) {
      yield await nastyRow(way, NASTY_EVENTS);
      order.progress(i + 2, 1 + ways.length);
    }
  },
};

export default campaign;

async function* restarts({ form, seed, progress }: CampaignOrder, parts: number): AsyncIterable<FaultRow> {
  const random = seeded(seed);
  const site = await Site.prepare({ destinations: [] });
  const server = await secured(site);
  try {
    await server.start();
    await site.proxy.start();
    const source = await site.source('cmd');
    let isRecording = true;
    const recording = (async () => {
      while (isRecording) {
        source.record(BURST);
        await pause(BURST_MS);
      }
    })();
    for (let restart = 0; restart < RESTARTS[form]; restart++) {
      await flows(server);
      await pause(random() * 400);
      await server.stop(random() < 0.5 ? 'SIGTERM' : 'SIGKILL');
      await pause(random() * 200);
      await server.start();
      progress((restart + 1) / RESTARTS[form], parts);
    }
    await pause(300);
    isRecording = false;
    await recording;
    await source.recorder.flush();
    const ledger = await site.drained(120_000);
    const wrongChecks = (await site.proxy.verify()).isGood ? 0 : 1;
    const recorded = LANES.reduce((sum, lane) => sum + source.ids[lane].length, 0);
    for (const transport of TRANSPORTS) {
      const lanes = ledger.writers.find(({ name }) => name === transport)!.lanes;
      const wrong = LANES.reduce((sum, lane) => sum + Math.abs(lanes[lane].discrepancy), 0);
      const fault = `SIGTERM or SIGKILL of rsyslog, and a new one, under load over ${transport}`;
      const counts = judgeSyslog(
        server.events.filter(({ writer }) => writer === transport),
        source.ids,
      );
      yield { fault, injected: RESTARTS[form], events: recorded, ...counts, discrepancy: wrong + wrongChecks };
    }
  } finally {
    await site.end();
    await server.stop('SIGKILL');
  }
}

/** Resolves when something more has come over each transport, so that a connection stands that can break. */
async function flows(server: SyslogServer): Promise<void> {
  const counts = (): number[] => TRANSPORTS.map((transport) => server.events.filter(({ writer }) => writer === transport).length);
  const before = counts();
  await until('something comes over each transport', async () => {
    await pause(50);
    return counts().every((count, i) => count > before[i]!);
  });
}

/** A server with certificates, and a writer for each transport in the proxy's config. */
async function secured(site: Site): Promise<SyslogServer> {
  const folder = join(site.folder, 'rsyslog');
  mkdirSync(folder);
  const authority = new Authority(site.folder);
  const client = authority.issue('client');
  const server = await SyslogServer.reserve('rsyslog', { folder, certificates: { ca: authority.ca, server: authority.issue('server') } });
  const writers = TRANSPORTS.map((transport) => {
    const tls = transport === 'tls' ? `, tls: { ca: "${authority.ca}", cert: "${client.cert}", key: "${client.key}" }` : '';
    const place = `transport: ${transport}, address: "127.0.0.1:${server.ports[transport]}"${tls}`;
    return `  - { name: ${transport}, kind: syslog, ${place}, batch: { interval: 20ms }, retry: { policy: backoff, initial: 50ms, max: 200ms } }\n`;
  });
  await site.proxy.configure(`dedup: { interval: 0s }\nwriters:\n${writers.join('')}`);
  return server;
}
