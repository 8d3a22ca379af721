/** Events with nasty text, sent to a real syslog server over each transport, and what it made of them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { z } from 'zod';
import type { DecodedEvent } from '../../core/event-codec.ts';
import { syslogSettings } from '../../writers/syslog/settings.ts';
import { SyslogWriter } from '../../writers/syslog/writer.ts';
import type { FaultRow } from '../faults/campaign.ts';
import { Authority } from './certificates.ts';
import { deliveries, eventOf, largeLine, nastyLines, plainLines } from './deliveries.ts';
import { asReceived, type SyslogEvent } from './from-syslog.ts';
import { SyslogServer, type Port, type Product } from './syslog-server.ts';
import { tempDirectory } from './temp-directory.ts';
import { until } from './until.ts';

export interface NastyWay {
  readonly name: string;
  readonly product: Product;
  readonly port: Port;
  readonly settings: Omit<z.input<typeof syslogSettings>, 'address'>;
}

const PER_BATCH = 500;
/** What fits into a socket's buffer by default: nothing but that may be dropped between two processes of one machine. */
const PER_BATCH_UDP = 20;
const ARRIVAL_MS = 30_000;

const way = (
  name: string,
  port: Port,
  settings: NastyWay['settings'],
  products: readonly Product[] = ['rsyslog', 'syslog-ng'],
): NastyWay[] => products.map((product) => ({ name, product, port, settings }));

/** By the server, all that each can do. */
export const NASTY_WAYS: readonly NastyWay[] = [
  ...way('udp', 'udp', { transport: 'udp', bytesMax: '65500B' }),
  ...way('tcp, octet counting', 'tcp', { transport: 'tcp' }),
  ...way('tcp, lines', 'lf', { transport: 'tcp', framing: 'lf' }),
  ...way('tcp, lines, RFC 3164', 'rfc3164', { transport: 'tcp', framing: 'lf', format: 'rfc3164' }),
  ...way('tls with a client certificate', 'tls', { transport: 'tls' }),
  ...way('relp', 'relp', { transport: 'relp' }, ['rsyslog']),
];

/** Every nasty line, the largest event and plain ones, over and over; every third with labels. */
export function nastyEvents(count: number): DecodedEvent[] {
  const lines = [...nastyLines(), largeLine(), ...plainLines(1, 20)];
  const labels = { region: 'eu', 'a "b"': ']\\\n' };
  return Array.from({ length: count }, (_, i) => eventOf(lines[i % lines.length]!, i + 1, i % 3 === 0 ? labels : undefined));
}

/** Resolves with what the server has written when all of it is there, or when nothing more has come for some seconds. */
export async function sendOver({ name, product, port, settings }: NastyWay, events: readonly DecodedEvent[]): Promise<SyslogEvent[]> {
  const { path, remove } = await tempDirectory();
  const folder = join(path, name.replaceAll(/[^a-z0-9]+/gi, '-'));
  mkdirSync(folder);
  const authority = new Authority(path);
  const client = authority.issue('client');
  const server = await SyslogServer.start(product, { folder, certificates: { ca: authority.ca, server: authority.issue('server') } });
  const tls = port === 'tls' ? { tls: { ca: authority.ca, cert: client.cert, key: client.key } } : {};
  const address = `localhost:${server.ports[port]}`;
  const writer = await SyslogWriter.open(syslogSettings.parse({ bytesMax: '256KiB', ...settings, ...tls, address }));
  try {
    const never = new AbortController().signal;
    const perBatch = port === 'udp' ? PER_BATCH_UDP : PER_BATCH;
    const arrived = async (count: number): Promise<void> =>
      until('they are written', () => server.count >= count, ARRIVAL_MS).catch(() => undefined);
    for (let from = 0; from < events.length; from += perBatch) {
      await writer.write(deliveries(events.slice(from, from + perBatch), { first: from + 1 }), never);
      if (port === 'udp') await arrived(Math.min(from + perBatch, events.length));
    }
    await arrived(events.length);
    return server.events.sort((a, b) => a.seq - b.seq);
  } finally {
    await writer.close();
    await server.stop();
    await remove();
  }
}

/** The fields of an event, and of what came of it; `undefined` where it did not come. */
export function fieldsOf(event: DecodedEvent, seq: number, received: SyslogEvent | undefined): [sent: object, got: object | undefined] {
  const { id, type, severity, time, message, source, object, labels, attributesText } = event;
  const sent = { id, type, severity, time: Date.parse(time), message, source: { ...source }, attributesText, seq, object, labels };
  if (!received) return [sent, undefined];
  const got = asReceived(received);
  return [sent, { ...got, time: Date.parse(got.time), object: got.object, labels: got.labels }];
}

/** A row of a fault campaign: nothing is broken but the text. */
export async function nastyRow(over: NastyWay, count: number): Promise<FaultRow> {
  const events = nastyEvents(count);
  const received = await sendOver(over, events);
  const bySeq = new Map(received.map((event) => [event.seq, event]));
  let [lost, wrongCounts] = [0, 0];
  for (const [i, event] of events.entries()) {
    const [sent, got] = fieldsOf(event, i + 1, bySeq.get(i + 1));
    if (got === undefined) lost++;
    else if (!isSame(sent, got)) wrongCounts++;
  }
  const fault = `nasty text to ${over.product} over ${over.name}`;
  return { fault, injected: count, events: count, lost, repeated: received.length - bySeq.size, wrongCounts, discrepancy: 0 };
}

function isSame(a: object, b: object): boolean {
  return sorted(a) === sorted(b);
}

/** JSON text with members in the order of their names. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
