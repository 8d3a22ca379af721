/** Which events a filter lets through; and that what goes into the dedup key settles that, whatever else an event has. */
import { assert } from 'chai';
import fc from 'fast-check';
import { keepInKey } from '../../../core/complete-event.ts';
import { decodeEvent, FIELD, type DecodedEvent } from '../../../core/event-codec.ts';
import { EventWalk } from '../../../core/event-walk.ts';
import { LIMITS } from '../../../core/event.ts';
import { compileFilter, fieldsToKeep, isSameFilter, type Filter } from '../../../dispatcher/feed/filter.ts';
import { feedSettings } from '../../../dispatcher/writer-settings.ts';
import { eventBytes } from '../../support/dispatch-kit.ts';
import { testSeed } from '../../support/seeded.ts';

const EVENT = {
  type: 'disk.Full',
  severity: 'warn',
  object: { kind: 'Disk', name: 'sda1', namespace: 'default', uri: '/dev/sda1\n' },
  attributes: {
    used: 0.97,
    code: 404,
    big: 1e21,
    zero: 0,
    ok: false,
    nothing: null,
    empty: '',
    tags: ['hot', 'spare', 7],
    mount: { path: '/var', options: { ro: false }, 'a.b': 'inner' },
    'dotted.name': 'flat',
    dotted: { name: 'deep', other: 'found' },
    a: { b: { x: 1 } },
    'a.b': { y: 2 },
  },
};

function decoded(event: object, facts: { site?: string; labels?: Record<string, string> } = {}): DecodedEvent {
  const bytes = Buffer.from(eventBytes(event as Record<string, unknown>));
  return decodeEvent(bytes, { id: 'i', site: facts.site ?? 'plant-7', labels: facts.labels, receivedTime: '2026-11-22T08:00:00Z' });
}

const labels = { region: 'eu', 'topology/zone': 'z1', constructor: 'own' };

/** What matches and what does not; the event is EVENT, its source site plant-7, node n1, component c1. */
const CASES: readonly (readonly [filter: Filter, isWanted: boolean])[] = [
  [{}, true],
  // severity
  [{ minSeverity: 'debug' }, true],
  [{ minSeverity: 'warn' }, true],
  [{ minSeverity: 'error' }, false],
  [{ severity: 'warn' }, true],
  [{ severity: 'error' }, false],
  [{ severity: ['debug', 'warn'] }, true],
  [{ severity: ['debug', 'critical'] }, false],
  [{ minSeverity: 'error', severity: ['warn', 'error'] }, false],
  [{ minSeverity: 'info', severity: ['warn', 'error'] }, true],
  // types
  [{ types: ['disk.Full'] }, true],
  [{ types: ['disk.full'] }, false],
  [{ types: ['disk.*'] }, true],
  [{ types: ['*.Full'] }, true],
  [{ types: ['*'] }, true],
  [{ types: ['d*k.*l'] }, true],
  [{ types: ['disk.*.Full'] }, false],
  [{ types: ['diskxFull'] }, false],
  [{ types: ['disk'] }, false],
  [{ types: ['isk.Full'] }, false],
  [{ types: ['net.*', 'disk.F*'] }, true],
  [{ types: ['net.*', 'cluster.*'] }, false],
  [{ types: ['disk.Full*'] }, true],
  [{ types: ['disk.Ful*ull'] }, false],
  // source
  [{ source: { site: 'plant-7' } }, true],
  [{ source: { site: 'plant-*' } }, true],
  [{ source: { site: 'plant-8' } }, false],
  [{ source: { node: 'n1' } }, true],
  [{ source: { node: ['n2', 'n3'] } }, false],
  [{ source: { node: ['n2', 'n*'], component: 'c1' } }, true],
  [{ source: { node: 'n1', component: 'cmd' } }, false],
  [{ source: { node: 'N1' } }, false],
  // labels
  [{ labels: { region: 'eu' } }, true],
  [{ labels: { region: ['us', 'e*'] } }, true],
  [{ labels: { region: 'us' } }, false],
  [{ labels: { 'topology/zone': 'z*', region: '*' } }, true],
  [{ labels: { absent: '*' } }, false],
  [{ labels: { toString: '*' } }, false],
  [{ labels: { constructor: 'own' } }, true],
  // object
  [{ object: { kind: 'Disk' } }, true],
  [{ object: { kind: 'disk' } }, false],
  [{ object: { kind: ['Node', 'Disk'], name: 'sd*' } }, true],
  [{ object: { kind: 'Disk', name: 'sdb*' } }, false],
  [{ object: { namespace: 'default' } }, true],
  [{ object: { tenant: '*' } }, false],
  [{ object: { uri: '/dev/*' } }, true],
  [{ object: { uri: '/dev/sda1' } }, false],
  // attributes: numbers
  [{ attributes: { code: 404 } }, true],
  [{ attributes: { code: 405 } }, false],
  [{ attributes: { code: [404, 500] } }, true],
  [{ attributes: { code: '4*' } }, true],
  [{ attributes: { code: '404' } }, true],
  [{ attributes: { big: '1e+21' } }, true],
  [{ attributes: { used: { min: 0.9 } } }, true],
  [{ attributes: { used: { min: 0.97, max: 0.97 } } }, true],
  [{ attributes: { used: { max: 0.9 } } }, false],
  [{ attributes: { used: [{ max: 0.1 }, { min: 0.9 }] } }, true],
  [{ attributes: { zero: { max: 0 } } }, true],
  [{ attributes: { nothing: { max: 0 } } }, false],
  [{ attributes: { ok: { min: 0 } } }, false],
  [{ attributes: { empty: { min: 0 } } }, false],
  // attributes: texts and booleans
  [{ attributes: { ok: false } }, true],
  [{ attributes: { ok: true } }, false],
  [{ attributes: { ok: 'false' } }, true],
  [{ attributes: { zero: false } }, false],
  [{ attributes: { empty: '' } }, true],
  [{ attributes: { empty: '*' } }, true],
  [{ attributes: { nothing: '*' } }, false],
  [{ attributes: { mount: '*' } }, false],
  // attributes: lists, and whether they are there
  [{ attributes: { tags: 'hot' } }, true],
  [{ attributes: { tags: 7 } }, true],
  [{ attributes: { tags: 'cold' } }, false],
  [{ attributes: { tags: ['cold', 'sp*'] } }, true],
  [{ attributes: { 'tags.0': 'hot' } }, false],
  [{ attributes: { 'tags.length': 3 } }, false],
  [{ attributes: { nothing: { exists: true } } }, true],
  [{ attributes: { absent: { exists: true } } }, false],
  [{ attributes: { absent: { exists: false } } }, true],
  [{ attributes: { mount: { exists: true } } }, true],
  [{ attributes: { toString: { exists: true } } }, false],
  [{ attributes: { absent: [{ exists: false }, 'x'] } }, true],
  // attributes: paths
  [{ attributes: { 'mount.path': '/var' } }, true],
  [{ attributes: { 'mount.options.ro': false } }, true],
  [{ attributes: { 'mount.a.b': 'inner' } }, true],
  [{ attributes: { 'mount.path.x': { exists: true } } }, false],
  [{ attributes: { 'dotted.name': 'flat' } }, true],
  [{ attributes: { 'dotted.name': 'deep' } }, false],
  [{ attributes: { 'dotted.other': 'found' } }, true],
  [{ attributes: { 'a.b.x': 1, 'a.b.y': 2 } }, true],
  [{ attributes: { '.mount': { exists: true } } }, false],
  [{ attributes: { used: { min: 0.9 }, code: 500 } }, false],
  // not
  [{ not: { types: ['disk.*'] } }, false],
  [{ not: { types: ['net.*'] } }, true],
  [{ not: { types: ['disk.*'], severity: 'error' } }, true],
  [{ not: [{ types: ['net.*'] }, { severity: 'warn' }] }, false],
  [{ not: [{ types: ['net.*'] }, { severity: 'error' }] }, true],
  [{ minSeverity: 'warn', not: { object: { tenant: '*' } } }, true],
  [{ minSeverity: 'error', not: { object: { tenant: '*' } } }, false],
  [{ not: { attributes: { ok: true } } }, true],
  // all together
  [
    {
      minSeverity: 'info',
      types: ['disk.*'],
      source: { node: 'n*' },
      labels: { region: 'eu' },
      object: { kind: 'Disk' },
      attributes: { used: { min: 0.5 } },
      not: { attributes: { ok: true } },
    },
    true,
  ],
];

describe('a filter', () => {
  const event = decoded(EVENT, { labels });
  for (const [filter, isWanted] of CASES) {
    it(`${isWanted ? 'takes' : 'leaves'} the event: ${JSON.stringify(filter)}`, () => {
      assert.equal(compileFilter(filter)(event), isWanted);
      const [settings] = feedSettings([{ name: 'a', writer: { write: async () => undefined }, filter }]);
      assert.equal(compileFilter(settings!.filter)(event), isWanted, 'as settings');
      const stored = JSON.parse(JSON.stringify(filter)) as Filter;
      assert.equal(compileFilter(stored)(event), isWanted, 'as it is stored');
      assert.isTrue(isSameFilter(stored, filter));
    });
  }

  it('takes nothing by what an event has not got', () => {
    const bare = decoded({}, {});
    for (const filter of [{ object: { kind: '*' } }, { labels: { region: '*' } }, { attributes: { a: '*' } }, { source: { site: '' } }])
      assert.isFalse(compileFilter(filter)(bare), JSON.stringify(filter));
    assert.isTrue(compileFilter({ not: { object: { kind: '*' } } })(bare));
  });

  it('judges attributes that are no JSON as what destinations get of them', () => {
    const broken = decoded({});
    broken.attributesText = '{"a":';
    assert.isTrue(compileFilter({ attributes: { 'fondaco.malformed': '{*' } })(broken));
    assert.isFalse(compileFilter({ attributes: { a: { exists: true } } })(broken));
  });

  it('is done in time with globs that were made to take for ever', () => {
    const long = decoded({ attributes: { text: 'a'.repeat(30_000) }, type: `a${'a'.repeat(120)}` });
    assert.isFalse(compileFilter({ attributes: { text: `${'*a'.repeat(100)}*b` } })(long));
    assert.isFalse(compileFilter({ types: [`${'*a'.repeat(60)}b`] })(long));
  });
});

describe('whether two filters are the same', () => {
  const same: [Filter, Filter][] = [
    [
      { types: ['a', 'b'], minSeverity: 'warn' },
      { minSeverity: 'warn', types: ['b', 'a', 'a'] },
    ],
    [{ source: { node: 'a', site: 'b' } }, { source: { site: ['b'], node: ['a'] } }],
    [{ attributes: { x: { min: 1, max: 2 } } }, { attributes: { x: [{ max: 2, min: 1 }] } }],
    [{ not: { types: ['a'] } }, { not: [{ types: ['a'] }] }],
    [{ not: [{ types: ['a'] }, { severity: 'warn' }] }, { not: [{ severity: ['warn'] }, { types: ['a'] }] }],
  ];
  const other: [Filter, Filter][] = [
    [{}, { minSeverity: 'debug' }],
    [{ types: ['a'] }, { types: ['a', 'b'] }],
    [{ attributes: { x: 1 } }, { attributes: { x: '1' } }],
    [{ attributes: { x: { min: 1 } } }, { attributes: { x: { max: 1 } } }],
    [{ types: ['a'] }, { not: { types: ['a'] } }],
    [{ object: { kind: 'a' } }, { object: { name: 'a' } }],
    [{ labels: { a: 'x' } }, { source: { site: 'x' } }],
    [{ not: [{ types: ['a'] }, { severity: 'warn' }] }, { not: { types: ['a'], severity: 'warn' } }],
  ];
  it('is told whatever the order of keys and lists', () => {
    for (const [a, b] of same) assert.isTrue(isSameFilter(a, b), JSON.stringify([a, b]));
    for (const [a, b] of other) assert.isFalse(isSameFilter(a, b), JSON.stringify([a, b]));
  });
});

describe('a filter that a program gives', () => {
  const refused: [filter: unknown, says: string][] = [
    ['x', 'writers[0].filter must be an object, got "x"'],
    [{ tipes: [] }, 'writers[0].filter.tipes is unknown, expected any of minSeverity, severity, types, source'],
    [{ severity: [] }, 'writers[0].filter.severity must be one of debug, info, warn, error, critical, or a list of these, got a list'],
    [{ source: {} }, 'writers[0].filter.source must be an object with at least one of site, node, component, got'],
    [{ source: { host: 'a' } }, 'writers[0].filter.source.host is unknown, expected any of site, node, component'],
    [{ labels: { a: 1 } }, 'writers[0].filter.labels.a must be a text with * for any characters, or a list of such texts, got 1'],
    [{ object: { kind: [''] } }, 'writers[0].filter.object.kind must be a text with *'],
    [{ attributes: { a: { min: 'x' } } }, 'writers[0].filter.attributes.a must be a text with * for any characters, a number'],
    [{ attributes: { a: { exists: true, min: 1 } } }, 'writers[0].filter.attributes.a must be'],
    [{ attributes: { a: NaN } }, 'writers[0].filter.attributes.a must be'],
    [{ not: {} }, 'writers[0].filter.not must be'],
    [{ not: [] }, 'writers[0].filter.not must be'],
    [{ not: [{ not: {} }] }, 'writers[0].filter.not[0].not is unknown'],
    [{ not: [{}, 7] }, 'writers[0].filter.not[1] must be an object, got 7'],
  ];
  for (const [filter, says] of refused) {
    it(`is refused: ${JSON.stringify(filter)}`, () => {
      const open = (): unknown => feedSettings([{ name: 'a', writer: { write: async () => undefined }, filter: filter as Filter }]);
      assert.throws(open, says);
    });
  }
});

describe('what goes into a dedup key for a filter', () => {
  const scalar = fc.constantFrom<unknown>('x', 'y', '', 1, 2, true, null, ['x', 1], { b: 1 }, { b: { c: 'x' } });
  const attributes = fc.dictionary(fc.constantFrom('a', 'b', 'a.b', 'c'), scalar, { maxKeys: 3 });
  const test = fc.constantFrom('x', '*', 1, true, { exists: true }, { exists: false }, { min: 2 });
  const path = fc.constantFrom('a', 'b', 'a.b', 'a.b.c', 'c');
  const glob = fc.constantFrom('x', '*', ['x', 'y']);
  const fields = fc.record(
    {
      attributes: fc.dictionary(path, test, { minKeys: 1, maxKeys: 2 }),
      object: fc.record({ kind: glob, name: glob }, { requiredKeys: ['kind'] }),
    },
    { requiredKeys: [] },
  );
  const filters = fc.oneof(fields, fc.record({ not: fields }));
  const name = fc.constantFrom('x', 'y', '');
  const events = fc.record({ attributes, object: fc.record({ kind: name, name }), message: name });

  /** The dedupKey that an event gets. */
  function keyOf(event: object, kept: readonly string[]): string {
    const bytes = eventBytes({ ...event, dedupKey: 'k' });
    const walk = new EventWalk();
    assert.isTrue(walk.over(bytes, 0, bytes.length));
    const more = keepInKey(bytes, walk, kept);
    assert.isTrue(walk.over(more, 0, more.length), walk.reason);
    assert.deepEqual(decodeEvent(Buffer.from(more), FACTS), decodeEvent(Buffer.from(bytes), FACTS));
    return Buffer.from(more.subarray(walk.moreStart, walk.moreEnd)).toString('latin1');
  }
  const FACTS = { id: 'i', site: 's', labels: undefined, receivedTime: '2026-11-22T08:00:00Z' };

  it('settles whether the filter takes the event', () => {
    let agreed = 0;
    fc.assert(
      fc.property(filters, events, events, (filter, one, other) => {
        const kept = fieldsToKeep(filter);
        if (keyOf(one, kept) !== keyOf(other, kept)) return;
        agreed++;
        assert.equal(compileFilter(filter)(decoded(one)), compileFilter(filter)(decoded(other)));
      }),
      { seed: testSeed, numRuns: 2000 },
    );
    assert.isAbove(agreed, 100);
  });

  it('is nothing beyond that: the rest of the event may differ', () => {
    const kept = ['object.kind', 'attributes.a.b'];
    const one = { message: '1', object: { kind: 'K', name: '1' }, attributes: { a: { b: 5 }, n: 1 } };
    const other = { message: '2', object: { kind: 'K', name: '2' }, attributes: { a: { b: 5 }, n: 2 } };
    assert.equal(keyOf(one, kept), keyOf(other, kept));
    assert.notEqual(keyOf(one, kept), keyOf({ ...other, object: { kind: 'L' } }, kept));
    assert.notEqual(keyOf(one, kept), keyOf({ ...other, attributes: { a: { b: '5' } } }, kept));
    assert.notEqual(keyOf(one, kept), keyOf(one, ['object.kind']));
    assert.notEqual(keyOf({}, ['attributes.x']), keyOf({ attributes: { x: null } }, ['attributes.x']));
  });

  it('is the whole event where there is no room for a longer dedupKey', () => {
    const bytes = eventBytes({ dedupKey: 'k' });
    const walk = new EventWalk();
    const room = LIMITS.eventBytes - bytes.length - 4;
    // A field that this version does not know, behind those it does: readers pass over it.
    const large = Buffer.concat([
      bytes,
      Buffer.from([0x7a, 0x80 | (room & 0x7f), 0x80 | ((room >> 7) & 0x7f), room >> 14]),
      Buffer.alloc(room),
    ]);
    assert.isTrue(walk.over(large, 0, large.length), walk.reason);
    const kept = keepInKey(large, walk, ['object.kind']);
    assert.isTrue(walk.over(kept, 0, kept.length), walk.reason);
    assert.equal(walk.moreEnd, 0);
    assert.notInclude([...kept.subarray(0, bytes.length)], FIELD.dedupKey * 8 + 2);
  });
});
