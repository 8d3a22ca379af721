/** The bare sender: one encoding per call, 1,000 events to a message, as many messages on their way as our session allows bytes for. */
import { Client, credentials } from '@grpc/grpc-js';
import type * as codec from '../core/event-codec.ts';
import type * as input from '../core/event-input.ts';
import type * as protobuf from '../core/protobuf.ts';
import { details, message, SEVERITY, TYPE } from './events.ts';

const dist = new URL('../dist/', import.meta.url);
const { encodeEvent } = (await import(new URL('core/event-codec.js', dist).href)) as typeof codec;
const { checkCall } = (await import(new URL('core/event-input.js', dist).href)) as typeof input;
const { ProtobufWriter } = (await import(new URL('core/protobuf.js', dist).href)) as typeof protobuf;

const [port, total] = process.argv.slice(2).map(Number) as [number, number];
const IN_FLIGHT = 16;
const asItIs = (bytes: Buffer): Buffer => bytes;
const call = new Client(`127.0.0.1:${port}`, credentials.createInsecure()).makeBidiStreamRequest('/bare/Send', asItIs, asItIs);
let inFlight = 0;
let wake: (() => void) | undefined;
call.on('data', () => {
  inFlight--;
  wake?.();
});
const room = async (limit: number): Promise<void> => {
  while (inFlight > limit) await new Promise<void>((resolve) => (wake = resolve));
};

const event = new ProtobufWriter();
const defaults = { node: 'node-1', component: 'bench' };
const started = performance.now();
const cpu = process.cpuUsage();
for (let n = 0; n < total;) {
  const batch = new ProtobufWriter(512 * 1024);
  for (let i = 0; i < 1000; i++, n++) {
    event.reset();
    encodeEvent(event, checkCall({ type: TYPE, severity: SEVERITY, message: message(n), details: details(n) }, defaults, Date.now()));
    batch.bytes(6, event.view());
  }
  await room(IN_FLIGHT - 1);
  inFlight++;
  call.write(batch.view());
}
await room(0);
const ms = performance.now() - started;
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ perSecond: (total / ms) * 1000, cpuSeconds: (user + system) / 1e6 }));
process.exit(0);
