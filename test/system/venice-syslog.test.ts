/** Venice's scenarios, third part: syslog over UDP and TCP (and RELP), a server that starts late, a changed target; with a real rsyslog and exact counts. */
import { expect } from 'chai';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { LANES } from '../../core/lane.ts';
import type { SyslogEvent } from '../support/from-syslog.ts';
import { Site, type RecordedIds } from '../support/site.ts';
import { missingServer, SyslogServer } from '../support/syslog-server.ts';
import { until } from '../support/until.ts';

const TRANSPORTS = ['udp', 'tcp', 'relp'] as const;
const missing = missingServer('rsyslog');

(missing === undefined ? describe : describe.skip)(
  `Venice's scenarios: syslog${missing === undefined ? '' : ` (${missing})`}`,
  function () {
    this.timeout(120_000);
    let site: Site;
    const servers: SyslogServer[] = [];

    beforeEach(async () => {
      site = await Site.prepare({ destinations: [] });
    });
    afterEach(async () => {
      await site.end();
      await Promise.all(servers.splice(0).map((server) => server.stop('SIGKILL')));
    });

    const reserve = async (name: string): Promise<SyslogServer> => {
      const folder = join(site.folder, name);
      mkdirSync(folder);
      const server = await SyslogServer.reserve('rsyslog', { folder });
      servers.push(server);
      return server;
    };
    /** A writer for each transport. */
    const aimAt = async (server: SyslogServer, resendWindow: number): Promise<void> => {
      const writers = TRANSPORTS.map((transport) => {
        const window = transport === 'tcp' ? `, resendWindow: ${resendWindow}` : '';
        const place = `transport: ${transport}, address: "127.0.0.1:${server.ports[transport]}"${window}`;
        return `  - { name: ${transport}, kind: syslog, ${place}, batch: { interval: 20ms }, retry: { policy: backoff, initial: 50ms, max: 200ms } }\n`;
      });
      await site.proxy.configure(`dedup: { interval: 0s }\nwriters:\n${writers.join('')}`);
    };
    const arrivedAt = async (server: SyslogServer, count: number): Promise<void> =>
      until(`${count} messages are written`, () => server.count >= count, 30_000);

    it('a server that starts late gets everything over UDP, TCP and RELP, each event once, the urgent ones first', async () => {
      const server = await reserve('late');
      await aimAt(server, 100);
      await site.proxy.start();
      const source = await site.source('cmd');
      await source.settle(300);
      await until('all were tried in vain', async () => (await site.proxy.status()).writers.every(({ state }) => state === 'retrying'));
      await server.start();
      await arrivedAt(server, 3 * 300);
      const ledger = await site.drained();
      for (const name of TRANSPORTS) expectExactly(eventsOf(server, name), source.ids);
      expect(
        eventsOf(server, 'relp')
          .slice(0, 30)
          .map(({ lane }) => lane),
      ).to.deep.equal(Array.from({ length: 30 }, () => 'urgent'));
      expect(ledger.isBalanced).to.equal(true);
      for (const { lanes } of ledger.writers) {
        expect(lanes.normal).to.include({ accepted: 270, delivered: 270, dead: 0, dropped: 0 });
        expect(lanes.urgent).to.include({ accepted: 30, delivered: 30, dead: 0, dropped: 0 });
      }
      const promises = (await site.proxy.status()).writers.map(({ name, promise }) => [name, promise]);
      expect(promises).to.deep.equal([
        ['udp', 'best effort'],
        ['tcp', 'at least once within 100 events'],
        ['relp', 'at least once'],
      ]);
    });

    it('a changed target: what the old one has not got goes to the new one, in the same numbers, and nothing else does', async () => {
      const [old, moved] = [await reserve('old'), await reserve('moved')];
      await Promise.all([old.start(), moved.start()]);
      await aimAt(old, 0);
      await site.proxy.start();
      const source = await site.source('cmd');
      await source.settle(100);
      await arrivedAt(old, 3 * 100);
      await site.drained();
      await old.stop();
      await source.settle(100);
      await until('all were tried in vain', async () => (await site.proxy.status()).writers.every(({ state }) => state === 'retrying'));
      await site.proxy.stop();
      await aimAt(moved, 0);
      await site.proxy.start();
      await arrivedAt(moved, 3 * 100);
      const ledger = await site.drained();
      // Read one after the other, the two records are the one of a single server.
      for (const name of TRANSPORTS) expectExactly([...eventsOf(old, name), ...eventsOf(moved, name)], source.ids);
      expect([old.count, moved.count]).to.deep.equal([300, 300]);
      for (const { lanes } of ledger.writers) expect(lanes.normal).to.include({ accepted: 180, delivered: 180, dead: 0, dropped: 0 });
      expect(ledger.isBalanced).to.equal(true);
    });
  },
);

function eventsOf(server: SyslogServer, writer: string): SyslogEvent[] {
  return server.events.filter((event) => event.writer === writer);
}

/** These events and no others, each once, each lane in its order, no number missing. */
function expectExactly(events: readonly SyslogEvent[], ids: RecordedIds): void {
  for (const lane of LANES) {
    const mine = events.filter((event) => event.lane === lane);
    expect(mine.map(({ id }) => id)).to.deep.equal(ids[lane]);
    const series = [...new Set(mine.map((event) => event.series))];
    for (const one of series) {
      const seqs = mine.filter((event) => event.series === one).map(({ seq }) => seq);
      expect(seqs).to.deep.equal(seqs.map((_, i) => i + 1));
    }
  }
}
