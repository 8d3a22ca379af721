import type { z } from 'zod';
import { isOneByOne, type httpSettings, type HttpSettings } from '../../../writers/http/settings.ts';
import { writerContract } from '../../contract/writer-contract.ts';
import { failAfterRequests, httpHooks } from '../../support/http-destination.ts';
import { eventsOf, freePort, openHttp } from '../../support/http-scene.ts';
import type { SeenRequest } from '../../support/subscriber.ts';

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
    ...httpHooks,
    openWriter: async ({ url }) => openHttp({ url, format, ...more }),
    received: ({ taken }) => taken.flatMap((request) => eventsOf(format, request)),
    payloads: ({ taken }) => taken.flatMap(payloadOf),
    openUnreachable: async () => openHttp({ url: `http://127.0.0.1:${await freePort()}/`, format, ...more }),
    ...(isOneByOne({ format }) && { failAfter: failAfterRequests }),
  });
}

/** What a repeat must have the same: id, the headers that are part of an event, body. */
function payloadOf({ headers, body }: SeenRequest): Buffer[] {
  const ours = Object.entries(headers).filter(([name]) => name.startsWith('ce-') || name === 'webhook-id');
  return [Buffer.from(JSON.stringify(ours)), body];
}
