import fc from 'fast-check';
import type { EventFields } from '../../core/event-input.ts';
import { LIMITS, OBJECT_FIELDS, type EventObject } from '../../core/event.ts';
import { SEVERITIES, SEVERITY_NUMBER } from '../../core/severity.ts';

/** Text of any characters, U+0000 and astral ones included, of at most `bytesMax` bytes. */
export function text(bytesMax: number, unitsMax = 60): fc.Arbitrary<string> {
  return fc.string({ unit: 'binary', maxLength: unitsMax }).filter((value) => Buffer.byteLength(value) <= bytesMax);
}

const name = fc.oneof(
  { weight: 9, arbitrary: text(LIMITS.nameBytes, 50) },
  { weight: 1, arbitrary: fc.constant('n'.repeat(LIMITS.nameBytes)) },
);

const object: fc.Arbitrary<EventObject> = fc.record(Object.fromEntries(OBJECT_FIELDS.map((field) => [field, name])), { requiredKeys: [] });

const attributes = fc.oneof(
  fc.constant(''),
  fc.dictionary(text(100, 10), fc.jsonValue(), { maxKeys: 5 }).map((value) => JSON.stringify(value)),
  fc.constant(JSON.stringify({ k: 'v'.repeat(LIMITS.attributesBytes - 8) })),
);

const message = fc.oneof(
  { weight: 9, arbitrary: text(LIMITS.messageBytes) },
  { weight: 1, arbitrary: fc.constant('é'.repeat(LIMITS.messageBytes / 2)) },
);

/** From 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z. */
export const SECONDS = { min: -62_135_596_800, max: 253_402_300_799 } as const;

const time = fc.record({
  seconds: fc.oneof(fc.integer(SECONDS), fc.constantFrom(SECONDS.min, -1, 0, 1, SECONDS.max)),
  nanos: fc.oneof(fc.integer({ min: 0, max: 999_999_999 }), fc.constantFrom(0, 1, 123_000_000, 123_456_000, 999_999_999)),
});

/** Every event that a recorder may send. */
export const eventFields: fc.Arbitrary<EventFields> = fc.record({
  type: fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,127}$/),
  severity: fc.constantFrom(...SEVERITIES).map((severity) => SEVERITY_NUMBER[severity]),
  node: name,
  component: name,
  object: fc.option(object, { nil: undefined }),
  message,
  attributes,
  time,
  dedupKey: fc.oneof(fc.constant(''), text(LIMITS.nameBytes, 20)),
  traceparent: fc.oneof(fc.constant(''), fc.constant('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')),
});
