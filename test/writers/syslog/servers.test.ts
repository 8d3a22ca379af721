/** The syslog writer against real servers: every field of every event, on every transport. */
import { assert } from 'chai';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import type { DecodedEvent } from '../../../core/event-codec.ts';
import type { syslogSettings as schema } from '../../../writers/syslog/settings.ts';
import { syslogSettings } from '../../../writers/syslog/settings.ts';
import { SyslogWriter } from '../../../writers/syslog/writer.ts';
import { Authority, missingOpenssl, type Issued } from '../../support/certificates.ts';
import { deliveries, eventOf, largeLine, nastyLines, plainLines } from '../../support/deliveries.ts';
import { asReceived } from '../../support/from-syslog.ts';
import { missingServer, SyslogServer, type Port, type Product } from '../../support/syslog-server.ts';
import { tempDirectory } from '../../support/temp-directory.ts';
import { until } from '../../support/until.ts';

type Settings = Omit<z.input<typeof schema>, 'address'>;

/** Every nasty line, and some more; the fault campaign sends 10,000. */
const COUNT = Number(process.env.FONDACO_SYSLOG_EVENTS ?? 450);
const PER_BATCH = 500;
const never = new AbortController().signal;

const WAYS: readonly [name: string, port: Port, settings: Settings, products: readonly Product[]][] = [
  ['udp', 'udp', { transport: 'udp', bytesMax: '65500B' }, ['rsyslog', 'syslog-ng']],
  ['tcp, octet counting', 'tcp', { transport: 'tcp' }, ['rsyslog', 'syslog-ng']],
  ['tcp, lines', 'lf', { transport: 'tcp', framing: 'lf' }, ['rsyslog', 'syslog-ng']],
  ['tcp, lines, RFC 3164', 'rfc3164', { transport: 'tcp', framing: 'lf', format: 'rfc3164' }, ['rsyslog', 'syslog-ng']],
  ['tls with a client certificate', 'tls', { transport: 'tls' }, ['rsyslog', 'syslog-ng']],
  ['relp', 'relp', { transport: 'relp' }, ['rsyslog']],
];

for (const product of ['rsyslog', 'syslog-ng'] as const) {
  const missing = missingServer(product) ?? missingOpenssl();
  const title = `syslog writer and ${product}: ${COUNT} events with nasty text arrive, equal in every field`;
  (missing === undefined ? describe : describe.skip)(missing === undefined ? title : `${title} (${missing})`, function () {
    this.timeout(120_000);
    let folder: Awaited<ReturnType<typeof tempDirectory>> | undefined;
    let authority: Authority;
    let client: Issued;
    let events: DecodedEvent[];

    before(async () => {
      folder = await tempDirectory();
      authority = new Authority(folder.path);
      client = authority.issue('client');
      events = nastyEvents();
    });
    after(async () => folder?.remove());

    for (const [name, port, settings, products] of WAYS.filter((way) => way[3].includes(product))) {
      it(name, async () => {
        assert.include(products, product);
        const place = join(folder!.path, name.replaceAll(/[^a-z0-9]+/gi, '-'));
        mkdirSync(place);
        const certificates = { ca: authority.ca, server: authority.issue('server') };
        const server = await SyslogServer.start(product, { folder: place, certificates });
        const tls = port === 'tls' ? { tls: { ca: authority.ca, cert: client.cert, key: client.key } } : {};
        const given = syslogSettings.parse({ bytesMax: '256KiB', ...settings, ...tls, address: `localhost:${server.ports[port]}` });
        const writer = await SyslogWriter.open(given);
        try {
          for (let from = 0; from < events.length; from += PER_BATCH) {
            await writer.write(deliveries(events.slice(from, from + PER_BATCH), { first: from + 1 }), never);
          }
          await until(`all ${events.length} are written`, () => server.count >= events.length, 60_000);
          assertSame(server, events);
        } finally {
          await writer.close();
          await server.stop();
        }
      });
    }
  });
}

function nastyEvents(): DecodedEvent[] {
  const lines = [...nastyLines(), largeLine(), ...plainLines(1, 20)];
  return Array.from({ length: COUNT }, (_, i) =>
    eventOf(lines[i % lines.length]!, i + 1, i % 3 === 0 ? { region: 'eu', 'a "b"': ']\\\n' } : undefined),
  );
}

function assertSame(server: SyslogServer, events: readonly DecodedEvent[]): void {
  const received = server.events.sort((a, b) => a.seq - b.seq);
  assert.lengthOf(received, events.length);
  for (const [i, event] of events.entries()) {
    const { id, type, severity, time, message, source, object, labels, attributesText } = event;
    const { seq, object: gotObject, labels: gotLabels, ...rest } = asReceived(received[i]!);
    assert.deepEqual(
      { ...rest, time: Date.parse(rest.time) },
      { id, type, severity, time: Date.parse(time), message, source: { ...source }, attributesText },
      `event ${i + 1}`,
    );
    assert.deepEqual([seq, gotObject, gotLabels], [i + 1, object, labels]);
  }
}
