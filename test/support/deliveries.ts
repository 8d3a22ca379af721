import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decodeEvent, encodeEvent, type DecodedEvent } from '../../core/event-codec.ts';
import { parseEvent } from '../../core/event-input.ts';
import type { Lane } from '../../core/lane.ts';
import { ProtobufWriter } from '../../core/protobuf.ts';
import type { Delivery } from '../../core/writer.ts';

export const SERIES = '0199e0c4-7b1e-7000-8000-000000000001';
const RECEIVED = '2026-11-22T08:00:01.500Z';

/** An event as a writer gets it, made of its input form (one line of NDJSON) by the way that the real ones take. */
export function eventOf(text: string, seq = 1, labels?: Readonly<Record<string, string>>): DecodedEvent {
  const writer = new ProtobufWriter();
  encodeEvent(writer, parseEvent(text, { node: 'n1', component: 'test' }, 0));
  return decodeEvent(Buffer.from(writer.view()), { id: `${SERIES}-${seq}`, site: 'plant-7', labels, receivedTime: RECEIVED });
}

export interface DeliverOptions {
  readonly writer?: string;
  readonly lane?: Lane;
  readonly birth?: number;
  readonly first?: number;
}

/** Events as deliveries of one writer, positions and seqs in step from `first` on. */
export function deliveries(events: readonly Readonly<DecodedEvent>[], options: DeliverOptions = {}): Delivery[] {
  const { writer = 'ops', lane = 'normal', birth = 1_795_000_000_000, first = 1 } = options;
  return events.map((event, i) => ({
    event,
    delivery: { writer, lane, series: SERIES.replace(/1$/, lane === 'normal' ? '9' : '8'), seq: first + i },
    entry: { epoch: 1, birth, position: first + i },
  }));
}

/** Lines of a plain stream: `from` to `to`, both included. */
export function plainLines(from: number, to: number): string[] {
  const lines: string[] = [];
  for (let i = from; i <= to; i++) {
    lines.push(
      JSON.stringify({ type: 'test.Tick', severity: 'info', time: '2026-11-22T08:00:00.123456Z', message: `tick ${i}`, attributes: { i } }),
    );
  }
  return lines;
}

/** Text, times and keys that break things: shared/data/nasty.ndjson, where it is there; else a set of our own. */
export function nastyLines(): string[] {
  const file = fileURLToPath(new URL('../../../shared/data/nasty.ndjson', import.meta.url));
  if (existsSync(file)) {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  }
  return OWN_NASTY.map((message, i) =>
    JSON.stringify({
      type: 'nasty.Text',
      severity: 'warn',
      time: '2026-11-22T08:00:00.123456789Z',
      message,
      source: { node: i % 2 === 0 ? '[fe80::1%eth0]:7070' : 'узел-7', component: 'cmp/with:colon' },
      object: { kind: 'Path', name: message.slice(0, 20), uri: '/redfish/v1/Systems/1' },
    }).replace(/}$/, `,"attributes":{"neg": -0.0,"f":1.10,"":"empty key","text":${JSON.stringify(message)}}}`),
  );
}

const OWN_NASTY = [
  'quotes " and \' and \\ backslash',
  'brackets ] [ in "structured" data ]',
  'line\nbreak\r\nand\ttab',
  'NUL \u0000 inside, escape \u001b[2J, delete \u007f, C1 \u009b',
  'emoji 🚢 and 👩‍🚀 joined',
  'rtl שלום \u202eoverride',
  'combining e\u0301 vs é',
  'zero width \u200b here, BOM \ufeff in the middle, line separator \u2028',
  '<script>alert(1)</script>',
  '${jndi:ldap://127.0.0.1/x} %s %n {}',
  'trailing space ',
  '-',
  '',
  '{"looks":"like json"}',
  'é'.repeat(4096),
];

/** One event of nearly 64 KiB encoded: attributes at their limit and every other field long. */
export function largeLine(): string {
  const attributes = { text: '\u{1F6A2}'.repeat(8000) };
  const name = (char: string): string => char.repeat(256);
  return JSON.stringify({
    type: 'test.Large',
    severity: 'warn',
    time: '2026-11-22T08:00:00Z',
    message: '"'.repeat(8192),
    source: { node: name('n'), component: name('c') },
    object: { kind: name('k'), name: name('o'), namespace: name('s'), tenant: name('t'), uri: name('u') },
    attributes,
  });
}
