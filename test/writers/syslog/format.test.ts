import { assert } from 'chai';
import fc from 'fast-check';
import { decodeEvent, encodeEvent, type DecodedEvent } from '../../../core/event-codec.ts';
import { ProtobufWriter } from '../../../core/protobuf.ts';
import { formatMessage, type Layout } from '../../../writers/syslog/message.ts';
import { parseSyslog } from '../../../writers/syslog/parser.ts';
import { rfc3164 } from '../../../writers/syslog/rfc3164.ts';
import { rfc5424 } from '../../../writers/syslog/rfc5424.ts';
import { deliveries, eventOf, largeLine, nastyLines } from '../../support/deliveries.ts';
import { eventFields, text } from '../../support/event-arbitraries.ts';
import { fromSyslog } from '../../support/from-syslog.ts';

const header = { facility: 'local0', facilities: {}, hostname: '{node}', appName: '{component}' } as const;
const LAYOUTS: readonly [name: string, layout: Layout][] = [
  ['RFC 5424', rfc5424({ ...header, bom: true })],
  ['RFC 5424 without a byte order mark', rfc5424({ ...header, bom: false })],
  ['RFC 3164', rfc3164({ ...header, timezone: 'utc' })],
  ['RFC 3164 in local time', rfc3164({ ...header, timezone: 'local' })],
];
const sdId = 'fondaco@32473';
const [, plain] = LAYOUTS[0]!;

function formatted(event: DecodedEvent, layout: Layout = plain, bytesMax = 1024 * 1024): string {
  return formatMessage(deliveries([event])[0]!, { layout, sdId, bytesMax }).toString();
}

const line = (event: Record<string, unknown>): DecodedEvent =>
  eventOf(JSON.stringify({ type: 'a.B', severity: 'info', time: '2026-11-02T08:00:00Z', message: 'm', attributes: {}, ...event }));

const events: fc.Arbitrary<DecodedEvent> = fc
  .record({
    fields: eventFields,
    site: text(256),
    labels: fc.option(fc.dictionary(text(100, 10), text(100, 10), { maxKeys: 4 }), { nil: undefined }),
    counts: fc.option(fc.record({ revision: fc.nat(9), count: fc.nat(1_000_000), added: fc.nat(1_000_000) }), { nil: undefined }),
    foreign: fc.option(fc.record({ source: text(100), id: text(100) }), { nil: undefined }),
  })
  .map(({ fields, site, labels, counts, foreign }) => {
    const writer = new ProtobufWriter();
    encodeEvent(writer, fields);
    const facts = { id: '0199e0c4-7b1e-7000-8000-000000000001-17', site, labels, receivedTime: '2026-11-22T08:00:01.500Z' };
    const event = decodeEvent(Buffer.from(writer.view()), facts);
    return Object.assign(event, counts, foreign && { foreign });
  });

describe('syslog messages', () => {
  for (const [name, layout] of LAYOUTS) {
    it(`${name}: are read back as the very same event, and hold no control character`, () => {
      fc.assert(
        fc.property(events, (event) => {
          const message = formatted(event, layout);
          assert.notMatch(message, /\p{Cc}/u);
          assertSame(message, event);
        }),
        { numRuns: 100 },
      );
    });

    it(`${name}: at every limit they have no more bytes, are well formed, still name their event, and say what was cut`, () => {
      fc.assert(
        fc.property(events, fc.integer({ min: 1536, max: 20_000 }), (event, bytesMax) => {
          const whole = formatted(event, layout);
          const message = formatted(event, layout, bytesMax);
          assert.isAtMost(Buffer.byteLength(message), bytesMax);
          assert.isFalse(message.includes('\uFFFD') && !whole.includes('\uFFFD'), 'cut within a character');
          const { cut, id, type, seq, message: said } = fromSyslog(message);
          assert.deepEqual({ id, type, seq }, { id: event.id, type: event.type, seq: 1 });
          if (Buffer.byteLength(whole) <= bytesMax) return void assert.equal(message, whole);
          assert.isNotEmpty(cut);
          if (!cut.includes('message')) assert.equal(said, event.message);
        }),
        { numRuns: 100 },
      );
    });
  }

  it('are read back for every nasty text', () => {
    for (const [, layout] of LAYOUTS) for (const nasty of nastyLines()) assertSame(formatted(eventOf(nasty), layout), eventOf(nasty));
  });

  it('look as RFC 5424 wants them', () => {
    const event = line({
      type: 'cluster.LeaderElectedAfterAVeryLongTimeOfDoubt',
      severity: 'critical',
      time: '2026-11-02T08:00:00.123456789Z',
      message: 'node n2 leads',
      source: { node: 'n 2', component: 'кмп' },
      object: { kind: 'Node', name: 'a "b" \\ c]' },
      attributes: { term: 7 },
    });
    assert.equal(
      formatted(event),
      '<130>1 2026-11-02T08:00:00.123456Z n_2 _ - cluster.LeaderElectedAfterAVeryL [fondaco@32473 ' +
        'id="0199e0c4-7b1e-7000-8000-000000000001-1" type="cluster.LeaderElectedAfterAVeryLongTimeOfDoubt" ' +
        'time="2026-11-02T08:00:00.123456789Z" site="plant-7" node="n 2" component="кмп" objectKind="Node" ' +
        'objectName="a \\"b\\" \\\\ c\\]" receivedTime="2026-11-22T08:00:01.500Z" writer="ops" lane="normal" ' +
        'series="0199e0c4-7b1e-7000-8000-000000000009" seq="1" attributes="{\\"term\\":7}"] node n2 leads',
    );
  });

  it('look as RFC 3164 wants them', () => {
    const event = line({ source: { node: 'n:2', component: 'my agent' }, severity: 'error' });
    assert.match(
      formatted(event, LAYOUTS[2]![1]),
      /^<131>Nov {2}2 08:00:00 n_2 my_agent: m \[fondaco@32473 id="[^"]+" type="a\.B" time="2026-11-02T08:00:00Z" .*\]$/,
    );
    const address = formatted(line({ source: { node: 'fe80::1', component: '' } }), LAYOUTS[2]![1]);
    assert.include(address, ' fe80::1 fondaco: m [');
  });

  it('have numbers for every severity, and the facility that fits the type', () => {
    const layout = rfc5424({ ...header, facility: 'daemon', facilities: { 'auth.*': 'authpriv', '*': 'local7' }, bom: true });
    const pri = (type: string, severity: string): string => /^<(\d+)>/.exec(formatted(line({ type, severity }), layout))![1]!;
    assert.equal(pri('auth.Failed', 'warn'), '84');
    assert.equal(pri('other', 'warn'), '188');
    const severities = ['debug', 'info', 'warn', 'error', 'critical'].map(
      (severity) => parseSyslog(formatted(line({ severity })))!.severity,
    );
    assert.deepEqual(severities, [7, 6, 4, 3, 2]);
  });

  it('have a nil value for what is not there, a byte order mark where the text is not ASCII, and no space behind nothing', () => {
    assert.match(formatted(line({ source: { node: '', component: '-' }, message: '' })), /^<134>1 2026-11-02T08:00:00Z - - - a\.B \[.*\]$/);
    assert.include(formatted(line({ message: 'naïve' })), '] \uFEFFnaïve');
    assert.include(formatted(line({ message: 'naïve' }), LAYOUTS[1]![1]), '] naïve');
    assert.include(formatted(line({ message: 'plain' })), '] plain');
  });

  it('show control characters in the text, and give them exactly beside it', () => {
    const message = formatted(line({ message: 'a\nb\u0000c\u007f "d"', object: { name: 'x\ty' } }));
    assert.include(message, '] a\\nb\\u0000c\\u007f "d"');
    assert.include(message, 'messageJson="\\"a\\\\nb\\\\u0000c\\\\u007f \\\\\\"d\\\\\\"\\""');
    assert.include(message, 'objectName="x\\\\ty" objectNameJson="\\"x\\\\ty\\""');
  });

  it('are made of templates', () => {
    const layout = rfc5424({ ...header, hostname: '{site}-{node}', appName: 'edge', bom: true });
    assert.match(formatted(line({}), layout), /^<134>1 \S+ plant-7-n1 edge - a\.B /);
  });

  it('give up attributes first, then the text, each with a mark', () => {
    const event = line({ message: 'é'.repeat(2000), attributes: { text: 'x"'.repeat(3000) } });
    const some = fromSyslog(formatted(event, plain, 8192));
    assert.deepEqual(some.cut, ['attributes']);
    assert.match(some.attributesText, /^\{"text":"(x\\")+.*…$/);
    assert.equal(some.message, event.message);
    const less = fromSyslog(formatted(event, plain, 2048));
    assert.deepEqual(less.cut, ['attributes', 'message']);
    assert.match(less.message, /^é+…$/);
    assert.isAtLeast(Buffer.byteLength(formatted(event, plain, 8192)), 8190);
  });

  it('of the largest event still name it at the smallest limit', () => {
    const event = eventOf(largeLine(), 1, { ['l'.repeat(50)]: 'x' });
    const id = `${event.id}.1`;
    const type = 'T'.repeat(128);
    const times = { firstTime: '2026-11-22T08:00:00.000000001Z', lastTime: '2026-11-22T09:00:00.000000001Z' };
    Object.assign(event, { id, type, revision: 1, count: 1e9, added: 1e9, summarizes: event.id, ...times, via: ['a'.repeat(200)] });
    for (const [, layout] of LAYOUTS) {
      assert.deepInclude(fromSyslog(formatted(event, layout, 1024)), { id, type, seq: 1, revision: 1, added: 1e9 });
    }
  });

  it('of the largest event fit into a datagram', () => {
    assert.isBelow(Buffer.byteLength(formatted(eventOf(largeLine()))), 65_507);
  });
});

describe('the syslog parser', () => {
  for (const [what, message] of [
    ['no priority', '1 2026-11-02T08:00:00Z h a - m - x'],
    ['a priority that is none', '<192>1 2026-11-02T08:00:00Z h a - m - x'],
    ['seven digits of a second', '<134>1 2026-11-02T08:00:00.1234567Z h a - m - x'],
    ['a parameter without quotes', '<134>1 2026-11-02T08:00:00Z h a - m [a b=c] x'],
    ['a bracket without its escape', '<134>1 2026-11-02T08:00:00Z h a - m [a b="]"] x'],
    ['an element that does not end', '<134>1 2026-11-02T08:00:00Z h a - m [a b="c" x'],
    ['no space behind the structured data', '<134>1 2026-11-02T08:00:00Z h a - m [a b="c"]x'],
  ] as const) {
    it(`takes no message with ${what}`, () => assert.isUndefined(parseSyslog(message)));
  }

  it('takes what RFC 5424 shows', () => {
    const message =
      '<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 ' +
      '[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"] \uFEFFAn application';
    const parsed = parseSyslog(message)!;
    assert.deepInclude(parsed, { facility: 20, severity: 5, hostname: 'mymachine.example.com', procId: undefined, text: 'An application' });
    assert.deepEqual(
      parsed.elements.map(({ id, params }) => [id, params.length]),
      [
        ['exampleSDID@32473', 3],
        ['examplePriority@32473', 1],
      ],
    );
    assert.equal(parseSyslog('<34>1 - - - - - - - ')?.text, '- ');
    assert.equal(parseSyslog("<34>Oct 11 22:14:15 mymachine su: 'su root' failed")?.text, "'su root' failed");
  });
});

function assertSame(message: string, event: DecodedEvent): void {
  const { writer: _writer, lane: _lane, series: _series, seq, cut, object, labels, ...read } = fromSyslog(message);
  const { id, type, severity, time, source, attributesText, revision, count, added } = event;
  const expected = { id, type, severity, time, message: event.message, source: { ...source }, attributesText, revision, count, added };
  assert.deepEqual(read, expected);
  assert.deepEqual(object, event.object && { ...event.object });
  assert.deepEqual(labels, event.labels);
  assert.equal(seq, 1);
  assert.isEmpty(cut);
}
