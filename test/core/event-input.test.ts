import { assert } from 'chai';
import fc from 'fast-check';
import { checkCall, parseEvent, type EventFields, type InputDefaults } from '../../core/event-input.ts';
import { isFondacoError } from '../../core/errors.ts';
import { sharedLines } from '../support/fixtures.ts';

const DEFAULTS: InputDefaults = { node: 'n1', component: 'cmd' };
const NOW = Date.UTC(2026, 10, 22, 8);
const TYPE = 'type must be a letter, then up to 127 letters, digits or any of _ . -';
const SEVERITY = 'severity must be one of debug, info, warn, error, critical';
const TIME = 'time must be RFC 3339 such as 2026-11-22T08:00:00.123456Z, seconds 00 to 59';
const EVENT_KEYS = 'type, severity, time, message, source, object, attributes, dedupKey, traceparent';

const parse = (text: string): EventFields => parseEvent(text, DEFAULTS, NOW);
const call = (type: unknown, severity: unknown, message: unknown, details?: unknown): EventFields =>
  checkCall({ type, severity, message, details }, DEFAULTS, NOW);
const detailed = (details: unknown): EventFields => call('a.B', 'info', 'm', details);

/** The message of the REJECTED that `check` throws, without its code. */
function refusal(check: () => unknown): string {
  try {
    check();
  } catch (error) {
    if (isFondacoError(error, 'REJECTED')) return error.text;
    throw error;
  }
  return assert.fail('it was taken');
}

/** What is said of each line of rejected.ndjson, in order. */
const REFUSALS = [
  'message must be at most 8192 bytes of UTF-8, got 8193',
  'message must be at most 8192 bytes of UTF-8, got 8196',
  `${TYPE}, got "${'t'.repeat(59)}… (129 characters)`,
  `${TYPE}, got "9starts.with.digit"`,
  `${TYPE}, got ""`,
  `${SEVERITY}, got "fatal"`,
  `${SEVERITY}, got null`,
  'object.name must be at most 256 bytes of UTF-8, got 257',
  'attributes must be at most 32768 bytes of UTF-8, got 41090',
  `${TIME}, got "2016-12-31T23:59:60Z"`,
  `${TIME}, got "yesterday"`,
  'attributes must hold no integer beyond 2^53, got 18446744073709551615: send it as a string',
  'attributes must be a JSON object, got [1,2]',
  'attributes must be a JSON object, got "text"',
  'source must be an object with node and component, got "n1"',
  'message must be a string, got 42',
  `event has an unknown key, expected any of ${EVENT_KEYS}, got "extra"`,
  /^event must be JSON, ./,
  /^event must be JSON, ./,
  'event must be a JSON object, got []',
  'event must be a JSON object, got null',
  `${TYPE}, got nothing`,
];

describe('event-input', () => {
  describe('JSON text', () => {
    const line = (members: Record<string, unknown>): string =>
      JSON.stringify({ type: 'over.Limit', severity: 'warn', message: 'm', ...members });

    it('is refused line by line of rejected.ndjson, with field, expected and got', function () {
      const lines = sharedLines('rejected.ndjson');
      if (!lines) this.skip(); // the cases below say the same in short
      assert.lengthOf(lines, REFUSALS.length);
      for (const [at, expected] of REFUSALS.entries()) {
        const said = refusal(() => parse(lines[at]!));
        if (typeof expected === 'string') assert.equal(said, expected, `line ${at + 1}`);
        else assert.match(said, expected, `line ${at + 1}`);
      }
    });

    const refused: [text: string, says: string | RegExp][] = [
      [line({ message: 'x'.repeat(8193) }), 'message must be at most 8192 bytes of UTF-8, got 8193'],
      [line({ message: '🚢'.repeat(2049) }), 'message must be at most 8192 bytes of UTF-8, got 8196'],
      [line({ message: 42 }), 'message must be a string, got 42'],
      [line({ message: undefined }), 'message must be a string, got nothing'],
      [line({ type: 't'.repeat(129) }), `${TYPE}, got "${'t'.repeat(59)}… (129 characters)`],
      [line({ type: '9a' }), `${TYPE}, got "9a"`],
      [line({ type: '' }), `${TYPE}, got ""`],
      [line({ type: 'a\n' }), `${TYPE}, got "a\\n"`],
      [line({ type: 'größe' }), `${TYPE}, got "größe"`],
      [line({ type: ['a'] }), `${TYPE}, got ["a"]`],
      [line({ severity: 'fatal' }), `${SEVERITY}, got "fatal"`],
      [line({ severity: 'Warn' }), `${SEVERITY}, got "Warn"`],
      [line({ severity: 'toString' }), `${SEVERITY}, got "toString"`],
      [line({ severity: 13 }), `${SEVERITY}, got 13`],
      [line({ severity: null }), `${SEVERITY}, got null`],
      [line({ severity: undefined }), `${SEVERITY}, got nothing`],
      [line({ object: { name: 'n'.repeat(257) } }), 'object.name must be at most 256 bytes of UTF-8, got 257'],
      [line({ object: { uri: 7 } }), 'object.uri must be a string, got 7'],
      [line({ object: 'Node/n1' }), 'object must be an object with any of kind, name, namespace, tenant, uri, got "Node/n1"'],
      [line({ object: { id: 'x' } }), 'object has an unknown key, expected any of kind, name, namespace, tenant, uri, got "id"'],
      [line({ source: 'n1' }), 'source must be an object with node and component, got "n1"'],
      [line({ source: { site: 's' } }), 'source has an unknown key, expected any of node, component, got "site"'],
      [line({ source: { node: '☃'.repeat(86) } }), 'source.node must be at most 256 bytes of UTF-8, got 258'],
      [line({ time: '2016-12-31T23:59:60Z' }), `${TIME}, got "2016-12-31T23:59:60Z"`],
      [line({ time: 0 }), `${TIME}, got 0`],
      [line({ time: null }), `${TIME}, got null`],
      [line({ attributes: [1, 2] }), 'attributes must be a JSON object, got [1,2]'],
      [line({ attributes: null }), 'attributes must be a JSON object, got null'],
      [line({ attributes: { k: 'v'.repeat(32768) } }), 'attributes must be at most 32768 bytes of UTF-8, got 32776'],
      [line({ dedupKey: 'k'.repeat(257) }), 'dedupKey must be at most 256 bytes of UTF-8, got 257'],
      [line({ traceparent: 1 }), 'traceparent must be a string, got 1'],
      [line({ id: 'mine' }), `event has an unknown key, expected any of ${EVENT_KEYS}, got "id"`],
      ['{"__proto__":{"type":"a"}}', `event has an unknown key, expected any of ${EVENT_KEYS}, got "__proto__"`],
      [
        '{"type":"a","attributes":{"n":9007199254740993}}',
        'attributes must hold no integer beyond 2^53, got 9007199254740993: send it as a string',
      ],
      ['{"type":"a","attributes":{"n":[1e400]}}', 'attributes must hold no number beyond 1.7e308, got 1e400: send it as a string'],
      ['{"type":"a","type":"b"}', 'event must have each key once, got "type" twice'],
      ['{"type":"a","attributes":{},"attributes":{"a":1}}', 'event must have each key once, got "attributes" twice'],
      ['{"type":"a","attributes":{"x":[{"k":1,"k":2}]}}', 'attributes must have each key once, got "k" twice'],
      ['{"type":"a","source":{"node":"a","node":"b"}}', 'source must have each key once, got "node" twice'],
      [`{"type":"a","attributes":{"x":${'['.repeat(32)}${']'.repeat(32)}}}`, 'attributes must be nested at most 32 deep, got more'],
      ['['.repeat(100_000) + ']'.repeat(100_000), 'event must be a JSON object, got an array that cannot be shown'],
      ['"text"', 'event must be a JSON object, got "text"'],
      ['[]', 'event must be a JSON object, got []'],
      ['null', 'event must be a JSON object, got null'],
      ['{}', `${TYPE}, got nothing`],
      ['', /^event must be JSON, ./],
      ['not json', /^event must be JSON, ./],
      ['{"type":"a.B","message":"cut', /^event must be JSON, ./],
    ];
    it('is taken at the edge of what is refused', () => {
      for (const text of [
        `{"type":"a","severity":"info","message":"","attributes":{"x":${'['.repeat(31)}${']'.repeat(31)}}}`,
        line({ attributes: { n: 1e308, deep: 'x'.repeat(100) } }),
        line({ time: '9999-12-31T23:59:59.999999999Z' }),
        line({ time: '0001-01-01T00:00:00Z' }),
        line({ traceparent: 'zz' }),
      ]) {
        parse(text);
      }
    });

    for (const [text, says] of refused) {
      it(`is refused when it is ${text.slice(0, 90)}`, () => {
        if (typeof says === 'string')
          assert.equal(
            refusal(() => parse(text)),
            says,
          );
        else
          assert.match(
            refusal(() => parse(text)),
            says,
          );
      });
    }

    it('is refused or taken, and nothing else, whatever JSON it is', () => {
      const value = fc.oneof(fc.jsonValue(), fc.string(), fc.constantFrom('info', 'a.B', '2026-11-22T08:00:00Z'));
      const event = fc.record(
        {
          type: value,
          severity: value,
          message: value,
          time: value,
          source: value,
          object: value,
          attributes: value,
          dedupKey: value,
          traceparent: value,
        },
        { requiredKeys: [] },
      );
      fc.assert(
        fc.property(event, (input) => {
          try {
            parse(JSON.stringify(input));
          } catch (error) {
            if (!isFondacoError(error, 'REJECTED')) throw error;
            assert.match(error.text, /, got .|, expected any of .* got ./);
            assert.isBelow(error.text.length, 300, 'a refusal does not repeat what it refuses');
          }
        }),
      );
    });

    it('takes what is exactly at a limit', () => {
      parse(line({ message: '🚢'.repeat(2048) }));
      parse(line({ type: `a${'.'.repeat(127)}` }));
      parse(line({ attributes: { k: 'v'.repeat(32768 - 8) } }));
      parse(line({ object: { kind: 'é'.repeat(128) } }));
      parse(`{"type":"a","severity":"info","message":"","attributes":{"n":-9007199254740991}}`);
    });

    it('keeps attributes as they are written', () => {
      const { attributes } = parse(
        '{"attributes": {"neg": -0.0, "p": 1.10, "e": 1E5,\t"u": "\\u00e9"} , "type":"a","severity":"info","message":"m"}',
      );
      assert.equal(attributes, '{"neg": -0.0, "p": 1.10, "e": 1E5,\t"u": "\\u00e9"}');
      assert.equal(parse(line({})).attributes, '');
    });

    it('takes node, component and severity from the defaults, and the time from the clock', () => {
      const fields = parseEvent('{"type":"a","message":"m","source":{"component":"other"}}', { ...DEFAULTS, severity: 'error' }, NOW + 1);
      assert.deepEqual(fields, {
        type: 'a',
        severity: 17,
        message: 'm',
        node: 'n1',
        component: 'other',
        object: undefined,
        attributes: '',
        time: { seconds: NOW / 1000, nanos: 1_000_000 },
        dedupKey: '',
        traceparent: '',
      });
    });
  });

  describe('a call', () => {
    it('is taken with all its details', () => {
      const details = {
        object: { kind: 'Node', name: 'n2' },
        attributes: { term: 7, at: new Date(0), none: undefined },
        time: new Date(1500),
        source: { node: 'n9' },
        dedupKey: 'k',
        traceparent: '00-…-01',
      };
      assert.deepEqual(detailed(details), {
        type: 'a.B',
        severity: 9,
        message: 'm',
        node: 'n9',
        component: 'cmd',
        object: { kind: 'Node', name: 'n2' },
        attributes: '{"term":7,"at":"1970-01-01T00:00:00.000Z"}',
        time: { seconds: 1, nanos: 500_000_000 },
        dedupKey: 'k',
        traceparent: '00-…-01',
      });
    });

    it('is copied: what its caller changes later changes nothing', () => {
      const object = { kind: 'Node' };
      const fields = detailed({ object });
      object.kind = 'changed';
      assert.deepEqual(fields.object, { kind: 'Node' });
    });

    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const refused: [what: string, details: unknown, says: string | RegExp][] = [
      ['details that are text', 'text', 'details must be an object, got "text"'],
      ['details that are null', null, 'details must be an object, got null'],
      [
        'an unknown detail',
        { labels: {} },
        'details has an unknown key, expected any of object, attributes, time, source, dedupKey, traceparent, got "labels"',
      ],
      ['attributes that go round', { attributes: circular }, /^attributes must be what JSON can hold, ./],
      ['a bigint', { attributes: { n: 1n } }, /^attributes must be what JSON can hold, ./],
      ['attributes that turn into something else', { attributes: { toJSON: () => [1] } }, /^attributes must be a JSON object, got ./],
      ['attributes that turn into nothing', { attributes: { toJSON: () => undefined } }, /^attributes must be a JSON object, got ./],
      [
        'a number beyond 2^53',
        { attributes: { n: 2 ** 60 } },
        'attributes must hold no integer beyond 2^53, got 1152921504606847000: send it as a string',
      ],
      ['a Date as attributes', { attributes: new Date(0) }, 'attributes must be a JSON object, got "1970-01-01T00:00:00.000Z"'],
      ['a Date that is none', { time: new Date(Number.NaN) }, `${TIME}, got null`],
      ['a Date beyond year 9999', { time: new Date(8.64e15) }, `${TIME}, got "+275760-09-13T00:00:00.000Z"`],
      ['a Date before year 1', { time: new Date(-8.64e15) }, `${TIME}, got "-271821-04-20T00:00:00.000Z"`],
      ['a function', { dedupKey: () => 'k' }, 'dedupKey must be a string, got a function'],
      ['a symbol', { dedupKey: Symbol('k') }, 'dedupKey must be a string, got Symbol(k)'],
    ];
    for (const [what, details, says] of refused) {
      it(`is refused with ${what}`, () => {
        if (typeof says === 'string')
          assert.equal(
            refusal(() => detailed(details)),
            says,
          );
        else
          assert.match(
            refusal(() => detailed(details)),
            says,
          );
      });
    }

    it('goes on refusing a type after having seen many good ones', () => {
      for (let at = 0; at < 2500; at++) call(`many.Types${at}`, 'info', 'm');
      assert.equal(
        refusal(() => call('no good', 'info', 'm')),
        `${TYPE}, got "no good"`,
      );
      assert.equal(call('many.Types1', 'info', 'm').type, 'many.Types1');
    });
  });
});
