import { gunzipSync } from 'node:zlib';
import type { z } from 'zod';
import type { Writer } from '../../../core/writer.ts';
import type { httpSettings, HttpSettings } from '../../../writers/http/settings.ts';
import { writerContract } from '../../contract/writer-contract.ts';
import { eventsOf, freePort, openHttp } from '../../support/http-scene.ts';
import { Subscriber, type SeenRequest } from '../../support/subscriber.ts';

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
const CASES: [format: HttpSettings['format'], more: Partial<z.input<typeof httpSettings>>][] = [
  ['cloudevents-batch', {}],
  ['cloudevents', {}],
  ['cloudevents-binary', {}],
  ['json', {}],
  ['ndjson', {}],
  ['redfish', { redfish: { context: 'rack "7"' } }],
  ['cloudevents', { concurrency: 1, secret: SECRET, compression: 'gzip' }],
  ['json', { secret: SECRET, compression: 'gzip', limit: { eventsPerSecond: 100_000, bytesPerSecond: '1GiB' } }],
];

for (const [format, more] of CASES) {
  writerContract(`http, ${[format, ...Object.keys(more)].join(', ')}`, {
    open: async () => {
      const subscriber = await Subscriber.open();
      const taken = (): SeenRequest[] => subscriber.requests.filter(({ status }) => status === 200).map(plain);
      const http = await openHttp({ url: subscriber.url, format, ...more });
      const payloads: Buffer[] = [];
      const writer: Writer = {
        write: async (batch, signal) => {
          const before = taken().length;
          await http.write(batch, signal);
          payloads.push(Buffer.concat(taken().slice(before).flatMap(payloadOf)));
        },
        close: async () => http.close(),
      };
      return {
        writer,
        payloads: () => payloads,
        received: () => taken().flatMap((request) => eventsOf(format, request)),
        hang: () => {
          subscriber.answer = () => 'hang';
        },
        close: async () => subscriber.close(),
      };
    },
    openUnreachable: async () => openHttp({ url: `http://127.0.0.1:${await freePort()}/`, format, ...more }),
  });
}

/** What a repeat must have the same: id, the headers that are part of an event, body. */
function payloadOf({ headers, body }: SeenRequest): Buffer[] {
  const ours = Object.entries(headers).filter(([name]) => name.startsWith('ce-') || name === 'webhook-id');
  return [Buffer.from(JSON.stringify(ours)), body];
}

function plain(request: SeenRequest): SeenRequest {
  return request.headers['content-encoding'] === 'gzip' ? { ...request, body: gunzipSync(request.body) } : request;
}
