import { assert } from 'chai';
import { CATALOG, catalogTypes, defineCatalog, isCatalog } from '../../core/catalog.ts';
import { isFondacoError } from '../../core/errors.ts';
import { TypeRules } from '../../core/type-rules.ts';

describe('defineCatalog', () => {
  const ClusterEvents = defineCatalog('cluster', {
    LeaderElected: { severity: 'info', description: 'a node leads' },
    PortDown: { dedupFields: ['object', 'attributes.port'] },
  });

  it('makes a constant of each type, and keeps what it knows where no type can have its name', () => {
    assert.equal(ClusterEvents.LeaderElected, 'cluster.LeaderElected');
    assert.deepEqual(Object.keys(ClusterEvents), ['LeaderElected', 'PortDown']);
    assert.deepEqual(catalogTypes(ClusterEvents), [
      { type: 'cluster.LeaderElected', name: 'LeaderElected', severity: 'info', description: 'a node leads', dedupFields: undefined },
      { type: 'cluster.PortDown', name: 'PortDown', severity: undefined, description: '', dedupFields: ['object', 'attributes.port'] },
    ]);
  });

  it('is frozen, all of it', () => {
    const [, portDown] = catalogTypes(ClusterEvents);
    for (const part of [ClusterEvents, ClusterEvents[CATALOG], catalogTypes(ClusterEvents), portDown, portDown!.dedupFields])
      assert.isFrozen(part);
  });

  it('takes names that objects have by themselves', () => {
    const odd = defineCatalog('odd', { constructor: {}, toString: {}, hasOwnProperty: {}, name: {}, types: {} });
    assert.equal(odd.constructor, 'odd.constructor');
    assert.equal(odd.types, 'odd.types');
    assert.isTrue(isCatalog(odd));
  });

  it('is known to another copy of the package, a copy of its members is not', () => {
    assert.isTrue(isCatalog({ [Symbol.for('fondaco.catalog/1')]: {} }));
    assert.isFalse(isCatalog({ ...ClusterEvents }));
    for (const none of [undefined, null, 'cluster', {}, []]) assert.isFalse(isCatalog(none));
  });

  const bad: [what: string, name: unknown, definitions: unknown, says: string][] = [
    [
      'a name with a space',
      'a b',
      { A: {} },
      'the name of a catalog must be a letter, then letters, digits, _ or -, in parts between dots, got "a b"',
    ],
    ['a name that ends in a dot', 'a.', { A: {} }, 'the name of a catalog'],
    [
      'no name',
      undefined,
      { A: {} },
      'the name of a catalog must be a letter, then letters, digits, _ or -, in parts between dots, got nothing',
    ],
    ['no types', 'a', {}, 'catalog a must be one with 1 to 10000 event types, got 0'],
    ['a list', 'a', ['A'], 'catalog a must be an object with a member for each event type, got ["A"]'],
    ['a type with a dot', 'a', { 'B.C': {} }, 'a name in catalog a must be letters, digits, _ or -, got "B.C"'],
    ['__proto__', 'a', { ['__proto__']: {} }, 'a name in catalog a must be letters, digits, _ or -, got "__proto__"'],
    ['a type that is too long', 'a', { ['B'.repeat(127)]: {} }, 'an event type must be at most 128 characters'],
    ['a definition that is none', 'a', { B: 'info' }, 'a.B must be an object with any of severity, description, dedupFields, got "info"'],
    ['an unknown key', 'a', { B: { dedup: [] } }, 'a.B must be an object with any of severity, description, dedupFields, got "dedup"'],
    ['a severity', 'a', { B: { severity: 'fatal' } }, 'severity of a.B must be one of debug, info, warn, error, critical, got "fatal"'],
    ['a severity null', 'a', { B: { severity: null } }, 'got null'],
    ['a description', 'a', { B: { description: 1 } }, 'description of a.B must be a text, got 1'],
    ['a long description', 'a', { B: { description: 'ä'.repeat(4097) } }, 'description of a.B must be at most 8192 bytes, got 8194'],
    ['dedup fields as a text', 'a', { B: { dedupFields: 'object' } }, 'dedupFields of a.B must be a list with any of object, object.kind'],
    ['a dedup field', 'a', { B: { dedupFields: ['port'] } }, 'attributes.<name>, got "port"'],
    ['a part of an object that is none', 'a', { B: { dedupFields: ['object.port'] } }, 'got "object.port"'],
    ['a part without a name', 'a', { B: { dedupFields: ['attributes.'] } }, 'got "attributes."'],
    ['a field that always counts', 'a', { B: { dedupFields: ['severity'] } }, '(type, severity and source always count), got "severity"'],
    ['a field twice', 'a', { B: { dedupFields: ['object', 'object'] } }, 'each named once, got ["object","object"]'],
    ['a bigint', 'a', { B: { dedupFields: [1n] } }, 'got "1n"'],
  ];
  for (const [what, name, definitions, says] of bad) {
    it(`refuses ${what}`, () => {
      try {
        defineCatalog(name as string, definitions as never);
        assert.fail('it was taken');
      } catch (error) {
        assert.isTrue(isFondacoError(error, 'CONFIG'), String(error));
        assert.include((error as Error).message, says);
      }
    });
  }
});

describe('TypeRules', () => {
  const a = defineCatalog('cluster', { LeaderElected: {}, LeaderLost: { severity: 'critical' } });
  const b = defineCatalog('disk', { Full: {} });

  it('names the nearest known type of one that it refuses', () => {
    const rules = new TypeRules([a, b], { isClosed: true });
    assert.isUndefined(rules.refusal('disk.Full'));
    assert.equal(rules.find('cluster.LeaderLost')?.severity, 'critical');
    const near: [type: string, nearest: string][] = [
      ['cluster.LeaderElect', 'cluster.LeaderElected'],
      ['Cluster.leaderlost', 'cluster.LeaderLost'],
      ['disk.Fully', 'disk.Full'],
      ['disk', 'disk.Full'],
      ['clu', 'cluster.LeaderElected'],
      ['x'.repeat(128), 'cluster.LeaderElected'],
    ];
    for (const [type, expected] of near)
      assert.equal(rules.refusal(type), `type must be one of the catalogs, such as ${expected}, got "${type}"`);
  });

  it('takes whatever comes where it is open', () => {
    assert.isUndefined(new TypeRules([a], { isClosed: false }).refusal('disk.Full'));
  });

  it('refuses what is no catalog, and a type in two of them', () => {
    assert.throws(
      () => new TypeRules([a, { ...b }], { isClosed: true }),
      'catalogs[1] must be made by defineCatalog or loadCatalogs, got object',
    );
    const again = defineCatalog('cluster', { LeaderLost: {} });
    assert.throws(() => new TypeRules([a, again], { isClosed: true }), 'catalogs[1] must have types of its own, got cluster.LeaderLost');
  });
});
