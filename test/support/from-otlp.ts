/** What a collector has got, read by OpenTelemetry's own decoder. */
import { createRequire } from 'node:module';
import { OBJECT_FIELDS } from '../../core/event.ts';
import { parseTime, formatTime } from '../../core/time.ts';
import type { Received } from '../contract/writer-contract.ts';

interface Value {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values?: readonly Value[] };
  readonly kvlistValue?: { readonly values?: readonly Member[] };
}

interface Member {
  readonly key: string;
  readonly value?: Value;
}

/** As the decoder's toObject gives it, int64s as digits and bytes in base64. */
export interface LogRecord {
  readonly timeUnixNano?: string;
  readonly observedTimeUnixNano?: string;
  readonly severityNumber?: number;
  readonly severityText?: string;
  readonly eventName?: string;
  readonly body?: Value;
  readonly attributes?: readonly Member[];
  readonly flags?: number;
  readonly traceId?: string;
  readonly spanId?: string;
}

export interface Request {
  readonly resourceLogs?: readonly {
    readonly resource?: { readonly attributes?: readonly Member[] };
    readonly scopeLogs?: readonly { readonly scope?: { readonly name?: string }; readonly logRecords?: readonly LogRecord[] }[];
  }[];
}

interface Codec {
  decode(bytes: Uint8Array): unknown;
  encode(message: object): { finish(): Uint8Array };
  fromObject(object: object): unknown;
  verify(object: object): string | null;
  toObject(message: unknown, options: object): unknown;
}

interface Root {
  readonly opentelemetry: {
    readonly proto: {
      readonly collector: {
        readonly logs: { readonly v1: { readonly ExportLogsServiceRequest: Codec; readonly ExportLogsServiceResponse: Codec } };
      };
    };
  };
}

const root = createRequire(import.meta.url)('@opentelemetry/otlp-transformer/build/src/generated/root.js') as Root;
const { ExportLogsServiceRequest, ExportLogsServiceResponse } = root.opentelemetry.proto.collector.logs.v1;
const PLAIN = { longs: String, bytes: String };

export function decodeRequest(bytes: Buffer): Request {
  return ExportLogsServiceRequest.toObject(ExportLogsServiceRequest.decode(bytes), PLAIN) as Request;
}

/** OTLP's JSON is protobuf's but for ids, which are hexadecimal. */
export function parseRequest(text: string): Request {
  const hex = (key: string, value: unknown): unknown =>
    (key === 'traceId' || key === 'spanId') && typeof value === 'string' ? Buffer.from(value, 'hex').toString('base64') : value;
  const object = JSON.parse(text, hex) as object;
  return ExportLogsServiceRequest.toObject(ExportLogsServiceRequest.fromObject(object), PLAIN) as Request;
}

/** An answer of a collector that took all but some. */
export function partialSuccess(rejectedLogRecords: number, errorMessage: string): Buffer {
  return Buffer.from(ExportLogsServiceResponse.encode({ partialSuccess: { rejectedLogRecords, errorMessage } }).finish());
}

/** Events as the contract of writers looks at them. */
export function receivedOf({ resourceLogs = [] }: Request): Received[] {
  return resourceLogs.flatMap(({ resource, scopeLogs = [] }) => {
    const about = new Map(resource?.attributes?.map(({ key, value }) => [key, value?.stringValue ?? '']));
    return scopeLogs.flatMap(({ logRecords = [] }) => logRecords.map((record) => eventOf(record, about)));
  });
}

function eventOf(record: LogRecord, about: ReadonlyMap<string, string>): Received {
  const values = new Map(record.attributes?.map(({ key, value }) => [key, value]));
  const text = (key: string): string | undefined => values.get(key)?.stringValue;
  const fields = OBJECT_FIELDS.flatMap((name) => (values.has(`fondaco.object.${name}`) ? [[name, text(`fondaco.object.${name}`)]] : []));
  const labels = [...about].filter(([key]) => key.startsWith('fondaco.label.')).map(([key, value]) => [key.slice(14), value]);
  const own = record.attributes?.filter(({ key }) => key !== 'log.record.uid' && !key.startsWith('fondaco.')) ?? [];
  return {
    id: text('log.record.uid') ?? '',
    type: record.eventName ?? '',
    severity: record.severityText ?? '',
    time: text('fondaco.time') ?? timeOf(record.timeUnixNano ?? '0'),
    message: record.body?.stringValue ?? '',
    source: { site: about.get('fondaco.site') ?? '', node: about.get('host.name') ?? '', component: about.get('service.name') ?? '' },
    ...(fields.length > 0 && { object: Object.fromEntries(fields) as unknown }),
    ...(labels.length > 0 && { labels: Object.fromEntries(labels) as unknown }),
    attributesText: text('fondaco.attributes') ?? JSON.stringify(mapOf(own)),
    seq: Number(values.get('fondaco.delivery.seq')?.intValue),
  };
}

function mapOf(members: readonly Member[]): Record<string, unknown> {
  return Object.fromEntries(members.map(({ key, value = {} }) => [key, valueOf(value)]));
}

function valueOf(value: Value): unknown {
  if (value.kvlistValue) return mapOf(value.kvlistValue.values ?? []);
  if (value.arrayValue) return (value.arrayValue.values ?? []).map(valueOf);
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? null;
}

function timeOf(nanos: string): string {
  const all = BigInt(nanos);
  const text = formatTime(Number(all / 1_000_000_000n), Number(all % 1_000_000_000n));
  return parseTime(text) ? text : '';
}
