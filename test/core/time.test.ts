import { assert } from 'chai';
import fc from 'fast-check';
import { formatMs, formatTime, isTimestamp, parseTime, timestampOf } from '../../core/time.ts';
import { SECONDS } from '../support/event-arbitraries.ts';

const NANOS = { min: 0, max: 999_999_999 } as const;
const twoDigits = (value: number): string => String(value).padStart(2, '0');

describe('time', () => {
  it('formats what it parsed to the same moment, to the nanosecond, over the whole range', () => {
    fc.assert(
      fc.property(fc.integer(SECONDS), fc.integer(NANOS), (seconds, nanos) => {
        assert.deepEqual(parseTime(formatTime(seconds, nanos)), { seconds, nanos });
      }),
    );
  });

  it('formats what Date formats, where Date can', () => {
    fc.assert(
      fc.property(fc.integer({ min: SECONDS.min * 1000, max: SECONDS.max * 1000 }), (ms) => {
        const expected = new Date(ms).toISOString();
        assert.equal(formatMs(ms), ms % 1000 === 0 ? expected.replace('.000Z', 'Z') : expected);
      }),
    );
  });

  it('formats two moments of different seconds in turn, though it remembers the last second', () => {
    const texts = [0, 1, 0, -1, 0].map((seconds) => formatTime(seconds, 5));
    assert.deepEqual(texts, [
      '1970-01-01T00:00:00.000000005Z',
      '1970-01-01T00:00:01.000000005Z',
      '1970-01-01T00:00:00.000000005Z',
      '1969-12-31T23:59:59.000000005Z',
      '1970-01-01T00:00:00.000000005Z',
    ]);
  });

  it('takes an offset off', () => {
    const offset = fc.record({
      sign: fc.constantFrom(1, -1),
      hours: fc.integer({ min: 0, max: 23 }),
      minutes: fc.integer({ min: 0, max: 59 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: SECONDS.min + 86_400, max: SECONDS.max - 86_400 }),
        fc.integer(NANOS),
        offset,
        (utc, nanos, { sign, hours, minutes }) => {
          const local = formatTime(utc + sign * (hours * 3600 + minutes * 60), nanos).slice(0, -1);
          const written = `${local}${sign > 0 ? '+' : '-'}${twoDigits(hours)}:${twoDigits(minutes)}`;
          assert.deepEqual(parseTime(written), { seconds: utc, nanos });
        },
      ),
    );
  });

  const good: [text: string, seconds: number, nanos: number][] = [
    ['1970-01-01T00:00:00Z', 0, 0],
    ['1969-12-31T23:59:59.999999999Z', -1, 999_999_999],
    ['0001-01-01T00:00:00Z', SECONDS.min, 0],
    ['9999-12-31T23:59:59.999999999Z', SECONDS.max, 999_999_999],
    ['2024-02-29T12:00:00z', 1_709_208_000, 0],
    ['2000-02-29t12:00:00.1Z', 951_825_600, 100_000_000],
    ['2026-11-22T13:30:00+05:30', 1_795_334_400, 0],
    ['2026-11-22T00:00:00-00:00', 1_795_305_600, 0],
    ['0001-01-01T00:01:00+00:01', SECONDS.min, 0],
    ['9999-12-31T23:58:59-00:01', SECONDS.max, 0],
  ];
  for (const [text, seconds, nanos] of good) {
    it(`reads ${text}`, () => {
      assert.deepEqual(parseTime(text), { seconds, nanos });
    });
  }

  const bad = [
    '2016-12-31T23:59:60Z',
    '2026-02-30T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+00:60',
    '2026-01-01T00:00:00.1234567890Z',
    '2026-01-01T00:00:00.Z',
    '2026-01-01T00:00:00,5Z',
    '2026-01-01 00:00:00Z',
    '2026-01-01T00:00:00',
    '2026-01-01',
    '2026-01-01T00:00:00Z\n',
    ' 2026-01-01T00:00:00Z',
    '+2026-01-01T00:00:00Z',
    '10000-01-01T00:00:00Z',
    '0000-12-31T23:59:59Z',
    '0001-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
    '٢٠٢٦-01-01T00:00:00Z',
    'yesterday',
    '',
  ];
  for (const text of bad) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.isUndefined(parseTime(text));
    });
  }

  it('knows what a Timestamp may hold, to the second and the nanosecond', () => {
    assert.isTrue(isTimestamp(SECONDS.min, 0) && isTimestamp(SECONDS.max, 999_999_999));
    for (const [seconds, nanos] of [
      [SECONDS.min - 1, 0],
      [SECONDS.max + 1, 0],
      [0, -1],
      [0, 1_000_000_000],
      [Number.NaN, 0],
      [0, Number.NaN],
    ]) {
      assert.isFalse(isTimestamp(seconds!, nanos!), `${seconds} ${nanos}`);
    }
  });

  it('splits milliseconds, before 1970 and with fractions too, into seconds and nanos that a Timestamp may hold', () => {
    assert.deepEqual(timestampOf(1500), { seconds: 1, nanos: 500_000_000 });
    assert.deepEqual(timestampOf(-1), { seconds: -1, nanos: 999_000_000 });
    assert.deepEqual(timestampOf(0.25), { seconds: 0, nanos: 250_000 });
    const { seconds, nanos } = timestampOf(999.999_999_9);
    assert.isTrue(isTimestamp(seconds, nanos), `${seconds} ${nanos}`);
  });
});
