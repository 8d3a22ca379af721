import { createHash } from 'node:crypto';
import { OBJECT_FIELDS, type EventObject } from './event.ts';
import { findMember } from './json-text.ts';

/** Longer keys are hashed: a dedupKey has 256 bytes at most. */
const PLAIN_BYTES_MAX = 200;

/** What dedup may go by, of one event. */
export interface DedupContent {
  readonly object: EventObject | undefined;
  readonly message: string;
  /** JSON text of an object; '' for none. */
  readonly attributes: string;
}

/**
 * The dedupKey that stands for these fields (core/catalog.ts) of an event: their values as JSON, or its SHA-256. Attributes count as the text
 * that they are, as everywhere in dedup. Equal for two events if and only if these fields are; the same in every process.
 */
export function dedupKeyOf(fields: readonly string[], content: DedupContent): string {
  const text = JSON.stringify(fields.map((field) => valueOf(field, content)));
  return Buffer.byteLength(text) <= PLAIN_BYTES_MAX ? text : `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

function valueOf(field: string, { object, message, attributes }: DedupContent): string | readonly string[] {
  if (field === 'message') return message;
  if (field === 'object') return OBJECT_FIELDS.map((name) => object?.[name] ?? '');
  if (field === 'attributes') return attributes === '' ? '{}' : attributes;
  const [whole, part] = [field.slice(0, field.indexOf('.')), field.slice(field.indexOf('.') + 1)];
  if (whole === 'object') return object?.[part as keyof EventObject] ?? '';
  return attributes === '' ? '' : findMember(attributes, part);
}
