import { decodeEvent, FIELD } from '../../core/event-codec.ts';
import { matchesGlob } from '../../core/glob.ts';
import { ProtobufReader } from '../../core/protobuf.ts';
import { severityOf } from '../../core/severity.ts';
import { formatMs } from '../../core/time.ts';
import type { RejectedEvent, RejectedEvents } from '../../dispatcher/acceptance/rejected-events.ts';
import { numberOf, parametersOf } from './event-query.ts';
import { readsAtOnce } from './reads-at-once.ts';
import type { Routes } from './server.ts';

const PAGE_MAX = 1000;
const PAGE_DEFAULT = 100;
/** Reads at once; each takes all that is kept, at most. */
const READS_MAX = 2;
const JSON_TYPE = 'application/json; charset=utf-8';

/**
 * GET /v1/rejections: events that were rejected, newest first. `event` is the event in the input form, so that a mended one can be recorded
 * again; a text where it cannot be read; of one in protobuf, `base64` are the very bytes.
 */
export function rejectionRoutes(rejected: Pick<RejectedEvents, 'page' | 'count'>): Routes {
  const reading = readsAtOnce(READS_MAX);
  return (app) => {
    app.get('/v1/rejections', async (request, reply) => {
      const parameters = parametersOf(request.query, ['limit', 'before', 'type', 'node', 'component', 'id']);
      const { type, node, component, id } = parameters;
      const limit = numberOf(parameters, 'limit', { max: PAGE_MAX, fallback: PAGE_DEFAULT });
      const before = parameters.before === undefined ? Infinity : numberOf(parameters, 'before', { max: 1e15, fallback: 1 });
      const wants = (event: RejectedEvent): boolean =>
        (type === undefined || matchesGlob(type, event.type)) &&
        (node === undefined || node === event.node) &&
        (component === undefined || component === event.component) &&
        (id === undefined || id === event.id);
      const { events, damaged, next } = await reading(() => rejected.page({ limit, before, wants }));
      const more = `${damaged > 0 ? `,"damaged":${damaged}` : ''}${next === undefined ? '' : `,"next":"${next}"`}`;
      return reply.type(JSON_TYPE).send(`{"rejections":[${events.map(rejectionView).join(',')}],"kept":${rejected.count}${more}}`);
    });
  };
}

/** One line of JSON. */
function rejectionView(rejected: RejectedEvent): string {
  const { number, at, input, form, id, type, node, component, reason, bytes, wholeBytes, isWhole } = rejected;
  const facts = {
    number,
    rejectedTime: formatMs(at),
    input,
    id: id === '' ? null : id,
    type,
    source: { node, component },
    reason,
    bytes: wholeBytes,
    isWhole,
    ...(form === 'protobuf' && { base64: Buffer.from(bytes).toString('base64') }),
  };
  const event = form === 'json' ? jsonText(bytes) : inputForm(Buffer.from(bytes));
  return `${JSON.stringify(facts).slice(0, -1)},"event":${event}}`;
}

/** The text that came, where it is an object; else the text as a string. */
function jsonText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return text.replaceAll(/[\n\r]/g, ' ');
  } catch {
    // told as a string
  }
  return JSON.stringify(text);
}

/** The event as it could have been posted, as far as its bytes can be read: its attributes are the text that came. */
function inputForm(bytes: Buffer): string {
  const event = decodeEvent(bytes, { id: '', site: '', labels: undefined, receivedTime: '' });
  const number = severityNumber(bytes);
  const { type, time, source, object, message, traceparent } = event;
  const fields = {
    type,
    ...(number !== 0 && { severity: severityOf(number) ?? number }),
    ...(time !== '' && { time }),
    message,
    source: { node: source.node, component: source.component },
    ...(object && { object }),
    ...(traceparent !== undefined && { traceparent }),
  };
  return `${JSON.stringify(fields).slice(0, -1)},"attributes":${event.attributesText}}`;
}

/** As it was sent, where decoding puts another in its place. */
function severityNumber(bytes: Buffer): number {
  const reader = new ProtobufReader().over(bytes);
  while (reader.next()) if (reader.field === FIELD.severity) return reader.value;
  return 0;
}
