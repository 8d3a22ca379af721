/** ExportLogsServiceRequest and -Response (opentelemetry-proto 1.5, collector/logs/v1) on the wire. */
import { FIXED32, FIXED64, LENGTH, ProtobufReader, ProtobufWriter, VARINT } from '../../core/protobuf.ts';
import type { AnyValue, ExportRequest, KeyValue, LogRecord } from './log-record.ts';

/** A request's bytes. */
export function encodeRequest({ resourceLogs }: ExportRequest): Buffer {
  const writer = new ProtobufWriter();
  for (const { resource, scopeLogs } of resourceLogs) {
    writer.message(1, () => {
      writer.message(1, () => keyValues(writer, 1, resource.attributes));
      for (const { scope, logRecords } of scopeLogs) {
        writer.message(2, () => {
          writer.message(1, () => writer.string(1, scope.name));
          for (const record of logRecords) writer.message(2, () => logRecord(writer, record));
        });
      }
    });
  }
  return Buffer.from(writer.view());
}

function logRecord(writer: ProtobufWriter, record: LogRecord): void {
  fixed64(writer, 1, record.timeUnixNano);
  writer.uint(2, record.severityNumber);
  writer.string(3, record.severityText);
  writer.message(5, () => anyValue(writer, record.body));
  keyValues(writer, 6, record.attributes);
  if (record.flags !== undefined) {
    writer.tag(8, FIXED32);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(record.flags);
    writer.raw(bytes);
  }
  if (record.traceId !== undefined) writer.bytes(9, Buffer.from(record.traceId, 'hex'));
  if (record.spanId !== undefined) writer.bytes(10, Buffer.from(record.spanId, 'hex'));
  fixed64(writer, 11, record.observedTimeUnixNano);
  writer.string(12, record.eventName);
}

function keyValues(writer: ProtobufWriter, field: number, values: readonly KeyValue[]): void {
  for (const { key, value } of values) {
    writer.message(field, () => {
      writer.string(1, key);
      writer.message(2, () => anyValue(writer, value));
    });
  }
}

/** One of a oneof is written also where it is empty: that it is there says which. */
function anyValue(writer: ProtobufWriter, value: AnyValue): void {
  if ('stringValue' in value) writer.text(1, value.stringValue);
  else if ('boolValue' in value) {
    writer.tag(2, VARINT);
    writer.varint(value.boolValue ? 1 : 0);
  } else if ('intValue' in value) int64(writer, 3, BigInt(value.intValue));
  else if ('doubleValue' in value) {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value.doubleValue);
    writer.tag(4, FIXED64);
    writer.raw(bytes);
  } else if ('arrayValue' in value) {
    writer.message(5, () => {
      for (const item of value.arrayValue.values) writer.message(1, () => anyValue(writer, item));
    });
  } else if ('kvlistValue' in value) writer.message(6, () => keyValues(writer, 1, value.kvlistValue.values));
}

function fixed64(writer: ProtobufWriter, field: number, digits: string | undefined): void {
  if (digits === undefined) return;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(digits));
  writer.tag(field, FIXED64);
  writer.raw(bytes);
}

/** Ten bytes of two's complement where it is negative. */
function int64(writer: ProtobufWriter, field: number, value: bigint): void {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  writer.tag(field, VARINT);
  writer.raw(Uint8Array.from(bytes));
}

/** What a collector did not take of a request that it answered with 200. */
export interface PartialSuccess {
  readonly rejected: number;
  readonly message: string;
}

/** Of an ExportLogsServiceResponse; undefined where it says nothing of the kind, or is none. */
export function decodePartialSuccess(bytes: Buffer): PartialSuccess | undefined {
  const outer = new ProtobufReader();
  const inner = new ProtobufReader();
  let found: { rejected: number; message: string } | undefined;
  for (outer.over(bytes); outer.next();) {
    if (outer.field !== 1 || outer.wireType !== LENGTH) continue;
    found ??= { rejected: 0, message: '' };
    for (inner.over(bytes, outer.start, outer.at); inner.next();) {
      if (inner.field === 1 && inner.wireType === VARINT) found.rejected = inner.value;
      else if (inner.field === 2 && inner.wireType === LENGTH) found.message = bytes.toString('utf8', inner.start, inner.at);
    }
    if (inner.isBroken) return undefined;
  }
  return outer.isBroken ? undefined : found;
}

/** The same out of OTLP's JSON, where an int64 is digits, or a number. */
export function parsePartialSuccess(text: string): PartialSuccess | undefined {
  try {
    const { partialSuccess } = JSON.parse(text) as { partialSuccess?: { rejectedLogRecords?: unknown; errorMessage?: unknown } };
    const rejected = Number(partialSuccess?.rejectedLogRecords ?? 0);
    if (!partialSuccess || !Number.isSafeInteger(rejected)) return undefined;
    return { rejected, message: typeof partialSuccess.errorMessage === 'string' ? partialSuccess.errorMessage : '' };
  } catch {
    return undefined;
  }
}
