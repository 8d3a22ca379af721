import { createServer } from 'node:net';
import type { z } from 'zod';
import { systemClock, type Clock } from '../../core/clock.ts';
import { findMember } from '../../core/json-text.ts';
import { httpSettings, type HttpSettings } from '../../writers/http/settings.ts';
import { HttpWriter } from '../../writers/http/writer.ts';
import type { Received } from '../contract/writer-contract.ts';
import { arrayMembers, fromCloudEvent, fromNative } from './received.ts';
import type { SeenRequest } from './subscriber.ts';

/** Stands still at one moment of wall time. */
const clock: Clock = { ...systemClock(), now: () => Date.parse('2026-11-22T08:00:00Z') };

/** An http writer as a config makes it. */
export async function openHttp(settings: z.input<typeof httpSettings>, parts: { clock?: Clock } = {}): Promise<HttpWriter> {
  return HttpWriter.open(httpSettings.parse(settings), { clock, directory: '/', ...parts });
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** The events of a request, read as its format says. */
export function eventsOf(format: HttpSettings['format'], request: Pick<SeenRequest, 'headers' | 'body'>): Received[] {
  return textsOf(format, request).map(format.startsWith('cloudevents') ? fromCloudEvent : fromNative);
}

/** Each event's own text: a CloudEvent in JSON, or native JSON. */
export function textsOf(format: HttpSettings['format'], { headers, body }: Pick<SeenRequest, 'headers' | 'body'>): string[] {
  const text = body.toString();
  switch (format) {
    case 'cloudevents-batch':
    case 'json':
      return arrayMembers(text);
    case 'cloudevents':
      return [text];
    case 'cloudevents-binary':
      return [structured(headers, text)];
    case 'ndjson':
      return text.split('\n').slice(0, -1);
    case 'redfish':
      return arrayMembers(findMember(text, 'Events')).map((record) => findMember(findMember(record, 'Oem'), 'Fondaco'));
  }
}

/** Binary mode, put together as structured: one round of percent-decoding, as the HTTP binding has it (section 3.1.3.2). */
function structured(headers: SeenRequest['headers'], body: string): string {
  const attributes = Object.entries(headers).filter(([name]) => name.startsWith('ce-'));
  const members = attributes.map(
    ([name, value]) => `${JSON.stringify(name.slice(3))}:${JSON.stringify(decodeURIComponent(String(value)))}`,
  );
  return `{${members.join(',')},"data":${body}}`;
}
