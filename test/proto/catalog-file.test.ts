import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { catalogTypes, CATALOG, type Catalog, type CatalogType } from '../../core/catalog.ts';
import { isFondacoError } from '../../core/errors.ts';
import { formatCatalogProblem, readCatalogFiles, readCatalogs } from '../../proto/catalog-file.ts';
import { sharedPath } from '../support/fixtures.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const OPTIONS = 'syntax = "proto3";\npackage plant.v1;\nimport "fondaco/v1/catalog.proto";\n';

describe('catalogs in .proto files', () => {
  let folder = '';
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
  });
  afterEach(() => remove());

  function write(name: string, text: string): string {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  async function read(text: string, name = 'svc_plant.proto', prefix?: string): Promise<Catalog[]> {
    return readCatalogs([write(name, text)], prefix === undefined ? {} : { prefix });
  }

  async function typeNames(text: string, name?: string, prefix?: string): Promise<string[]> {
    return (await read(text, name, prefix)).flatMap((catalog) => catalogTypes(catalog).map(({ type }) => type));
  }

  /** What is wrong, without the folder. */
  async function problems(text: string, name = 'bad.proto'): Promise<string[]> {
    const [file] = await readCatalogFiles([write(name, text)]);
    assert.isEmpty(file!.catalogs);
    return file!.problems.map((problem) => formatCatalogProblem(problem).replaceAll(`${folder}/`, ''));
  }

  it('reads an enum as Venice has them: the prefix is the package, trailing comments describe', async () => {
    const [catalog] = await readCatalogs([fileURLToPath(new URL('../catalog/svc_grid.proto', import.meta.url))]);
    assert.deepEqual(catalogTypes(catalog!), [
      described('grid.BreakerOpened', 'Breaker opened under load'),
      described('grid.BreakerClosed', 'Breaker closed again'),
      described('grid.PhaseLost', "One of the phases is gone, the operator's turn"),
      described('grid.constant_9', ''),
    ]);
  });

  it("reads Venice's own enum unchanged", async function () {
    const path = process.env.FONDACO_TEST_VENICE_PROTO ?? sharedPath('svc_cluster.proto');
    if (path === undefined) this.skip();
    const [catalog] = await readCatalogs([path]);
    assert.equal(catalog![CATALOG].name, 'cluster');
    assert.lengthOf(catalogTypes(catalog!), 6);
    assert.deepEqual(catalogTypes(catalog!)[3], described('cluster.LeaderElected', 'Leader elected for the cluster'));
  });

  const prefixes: [what: string, head: string, file: string, prefix: string | undefined, expected: string][] = [
    ['the last part of the package', 'package a.power;', 'x.proto', undefined, 'power'],
    ['not its version', 'package a.power.v1;', 'x.proto', undefined, 'power'],
    ['nor a beta', 'package a.power.v2beta1;', 'x.proto', undefined, 'power'],
    ['nor a point beta', 'package a.power.v1p1alpha2;', 'x.proto', undefined, 'power'],
    ['a name that begins as a version', 'package a.valve;', 'x.proto', undefined, 'valve'],
    ['the file, without svc_', '', 'svc_power.proto', undefined, 'power'],
    ['the file, where the package is a version', 'package v1;', 'svc_power.proto', undefined, 'power'],
    ['an option before the package', 'package a.power;', 'x.proto', 'site.power', 'site.power'],
  ];
  for (const [what, head, file, prefix, expected] of prefixes) {
    it(`takes as prefix ${what}`, async () => {
      assert.deepEqual(await typeNames(`syntax = "proto3";\n${head}\nenum E { A = 0; }`, file, prefix), [`${expected}.A`]);
    });
  }

  it('reads our options: catalog, severity, description, dedup fields', async () => {
    const [catalog] = await read(`${OPTIONS}
enum E {
  option (fondaco.v1.catalog) = "grid.power";
  option (.fondaco.v1.default_severity) = SEVERITY_WARN;
  A = 0 [(fondaco.v1.severity) = SEVERITY_CRITICAL, deprecated = true]; // trailing
  // above
  B = 1 [(fondaco.v1.description) = "said "
                                    "twice", (fondaco.v1.dedup_fields) = "object", (fondaco.v1.dedup_fields) = "attributes.p;ort"]; // not this
  C = 2 [(fondaco.v1.dedup_fields) = "", (other.option) = { a: ["x"] b { c: 1 } }];
  /* block,
   * two lines */
  D = 3 [(fondaco.v1.severity) = SEVERITY_UNSPECIFIED];
  reserved 7, 10 to 20; reserved "Old";
}
enum NotOne { X = 0; }`);
    assert.deepEqual(catalogTypes(catalog!), [
      { ...described('grid.power.A', 'trailing'), severity: 'critical' },
      { ...described('grid.power.B', 'said twice'), severity: 'warn', dedupFields: ['object', 'attributes.p;ort'] },
      { ...described('grid.power.C', ''), severity: 'warn', dedupFields: [] },
      described('grid.power.D', 'block,\ntwo lines'),
    ]);
  });

  it('takes all enums that are in no message, or only those that say that they are catalogs', async () => {
    const text = 'enum E { A = 0; }\nmessage M { enum N { B = 0; } oneof o { string enum = 1; } }\nenum F { C = 0; }';
    assert.deepEqual(await typeNames(`syntax = "proto3"; package p;\n${text}`), ['p.A', 'p.C']);
    const marked = text.replace('N {', 'N { option (fondaco.v1.catalog) = "n";').replace('F {', 'F { option (fondaco.v1.catalog) = "f";');
    const catalogs = await read(`${OPTIONS}${marked}`);
    assert.deepEqual(
      catalogs.map((catalog) => [catalog[CATALOG].name, ...catalogTypes(catalog).map(({ type }) => type)]),
      [
        ['n', 'n.B'],
        ['f', 'f.C'],
      ],
    );
  });

  it('leaves UNSPECIFIED 0 out, and has a type for each alias', async () => {
    const text = 'enum E { option allow_alias = true; E_UNSPECIFIED = 0; A = 1; B = 1; X_UNSPECIFIED = 2; }';
    assert.deepEqual(await typeNames(`syntax = "proto3"; package p; ${text}`), ['p.A', 'p.B', 'p.X_UNSPECIFIED']);
  });

  it('reads proto2, editions, a file without syntax, one with a byte order mark and with \\r\\n', async () => {
    const heads = ['syntax = "proto2";', 'edition = "2023";\noption features.enum_type = CLOSED;', '', '\ufeffsyntax = "proto3";\r\n'];
    for (const head of heads) assert.deepEqual(await typeNames(`${head}\npackage p;\r\nenum E {\r\n A = 1; // a\r\n}\r\n`), ['p.A'], head);
    assert.equal(catalogTypes((await read('enum E {\r\n A = 1; // a\r\n}\r\n'))[0]!)[0]!.description, 'a');
  });

  it('finds imports beside the file, in the folders above, in this package, and those that everybody has', async () => {
    write('common/options.proto', 'syntax = "proto3"; import "common/more.proto";');
    write('common/more.proto', 'syntax = "proto3"; import "common/options.proto"; import public "fondaco/v1/catalog.proto";');
    const imports =
      'import "common/options.proto"; import "near.proto"; import "google/protobuf/timestamp.proto"; import weak "fondaco/v1/event.proto";';
    write('a/near.proto', '');
    const text = `syntax = "proto3"; package p; ${imports} enum E { A = 0 [(fondaco.v1.severity) = SEVERITY_INFO]; }`;
    const [catalog] = await read(text, 'a/b/../cluster.proto');
    assert.equal(catalogTypes(catalog!)[0]!.severity, 'info');
  });

  const bad: [what: string, text: string, says: string[]][] = [
    [
      'a syntax error',
      'syntax = "proto3";\nenum E {\n  A = 0\n  B = 1;\n}',
      ["bad.proto:4:3: bad.proto must be protobuf, got illegal token 'B', ';' expected"],
    ],
    ['no end', 'enum E {\n  A = 0;', ["bad.proto:2:1: bad.proto must be protobuf, got illegal token 'null', '=' expected"]],
    ['something else', '<html>', ["bad.proto:1:1: bad.proto must be protobuf, got illegal token '<'"]],
    ['an unknown syntax', 'syntax = "proto9";\nenum E { A = 0; }', ['bad.proto:1:11: syntax must be proto2 or proto3, got "proto9"']],
    [
      'a missing import',
      'syntax = "proto3";\n\nimport "a/b.proto";\nenum E { A = 0; }',
      ['bad.proto:3:9: import "a/b.proto" must be a file beside this one or in a folder above, got none'],
    ],
    [
      'a missing import of ours',
      'import "fondaco/v1/catalogue.proto";\nenum E { A = 0; }',
      ['bad.proto:1:9: import "fondaco/v1/catalogue.proto" must be a file of this package, got none'],
    ],
    ['no enum', 'syntax = "proto3";\nmessage M {}', ['bad.proto:1:1: a catalog must have an enum, got none']],
    [
      'an enum in a message only',
      'message M { enum E { A = 0; } }',
      ['bad.proto:1:1: a catalog must have an enum, got none; one within a message counts with option (fondaco.v1.catalog)'],
    ],
    ['nothing but UNSPECIFIED', 'enum E {\n  E_UNSPECIFIED = 0;\n}', ['bad.proto:1:6: enum E must have event types, got none']],
    ['an empty file', '', ['bad.proto:1:1: a catalog must have an enum, got none']],
    ['a number twice', 'enum E {\n  A = 0;\n  B = 0;\n}', ['bad.proto:3:7: bad.proto must be protobuf, got duplicate id 0 in Enum E']],
    ['a name twice', 'enum E {\n  A = 0;\n  A = 1;\n}', ["bad.proto:3:3: bad.proto must be protobuf, got duplicate name 'A' in Enum E"]],
    [
      'a reserved number',
      'enum E {\n  reserved 2 to 4;\n  A = 3;\n}',
      ['bad.proto:3:7: bad.proto must be protobuf, got id 3 is reserved in Enum E'],
    ],
    [
      'a reserved name',
      'enum E {\n  reserved "A";\n  A = 3;\n}',
      ["bad.proto:3:3: bad.proto must be protobuf, got name 'A' is reserved in Enum E"],
    ],
    [
      'a name the parser cannot read',
      'enum E {\n  constructor = 3;\n}',
      ['bad.proto:2:3: an event type must have another name than constructor, which the parser (protobufjs) cannot read'],
    ],
    [
      '__proto__',
      'enum E {\n  __proto__ = 3;\n}',
      ['bad.proto:2:3: a name in catalog bad must be letters, digits, _ or -, got "__proto__"'],
    ],
    [
      'a name in two enums',
      'enum E {\n  A = 0;\n}\nenum F {\n  A = 0;\n}',
      ['bad.proto:5:3: an event type must be in one catalog, got bad.A, which is at bad.proto:2, too'],
    ],
    [
      'an option without its import',
      'enum E {\n  A = 0 [(fondaco.v1.severity) = SEVERITY_INFO];\n}',
      ['bad.proto:2:11: option (fondaco.v1.severity) must come with import "fondaco/v1/catalog.proto", got no such import'],
    ],
    [
      'an option that is none',
      `${OPTIONS}enum E {\n  A = 0 [(fondaco.v1.severtiy) = SEVERITY_INFO];\n}`,
      [
        'bad.proto:5:11: an option here must be any of (fondaco.v1.severity), (fondaco.v1.description), (fondaco.v1.dedup_fields), got (fondaco.v1.severtiy)',
      ],
    ],
    [
      'options that say nothing of ours',
      `${OPTIONS}enum E {\n  A = 0 [(fondaco.v1.severity) = INFO, (fondaco.v1.dedup_fields) = "port"];\n  B = 1 [(fondaco.v1.dedup_fields) = "type"];\n}`,
      [
        'bad.proto:5:34: a severity must be one of SEVERITY_DEBUG, SEVERITY_INFO, SEVERITY_WARN, SEVERITY_ERROR, SEVERITY_CRITICAL, got INFO',
        'bad.proto:5:3: dedupFields of plant.A must be any of object, object.kind, object.name, object.namespace, object.tenant, object.uri, message, attributes, attributes.<name>, got "port"',
        'bad.proto:6:3: dedupFields of plant.B must be any of object, object.kind, object.name, object.namespace, object.tenant, object.uri, message, attributes, attributes.<name> (type, severity and source always count), got "type"',
      ],
    ],
    [
      'a catalog without a good name',
      `${OPTIONS}enum E {\n  option (fondaco.v1.catalog) = "9 to 5";\n  A = 0;\n}`,
      [
        'bad.proto:5:1: the name of a catalog must be a letter, then letters, digits, _ or -, in parts between dots, 127 at most, got "9 to 5"',
      ],
    ],
  ];
  for (const [what, text, says] of bad) {
    it(`says where there is ${what}`, async () => {
      assert.deepEqual(await problems(text), says);
    });
  }

  it('says what is wrong with a file that an import draws in', async () => {
    write('near.proto', 'syntax = "proto3";\nenum {');
    assert.deepEqual(await problems('import "near.proto";\nenum E { A = 0; }'), [
      "near.proto:2:6: near.proto must be protobuf, got illegal name '{'",
    ]);
  });

  it('refuses a type that two files have, a file that is not there, and one that is no text; all at once', async () => {
    const first = write('a.proto', 'package p; enum E { A = 0; }');
    const second = write('b.proto', 'package p;\nenum E { A = 0; B = 1; }');
    const binary = write('c.proto', '');
    writeFileSync(binary, Buffer.from([0xff, 0xfe]));
    try {
      await readCatalogs([first, second, join(folder, 'none.proto'), binary]);
      assert.fail('it was taken');
    } catch (error) {
      assert.isTrue(isFondacoError(error, 'CONFIG'));
      const lines = (error as Error).message.replaceAll(`${folder}/`, '').split('\n');
      assert.equal(lines[0], '[CONFIG] b.proto:2:10: an event type must be in one catalog, got p.A, which is at a.proto:1, too');
      assert.match(lines[1]!, /^none\.proto: a catalog must be a readable file in UTF-8, ENOENT/);
      assert.match(lines[2]!, /^c\.proto: a catalog must be a readable file in UTF-8, The encoded data was not valid/);
    }
  });
});

function described(type: string, description: string): CatalogType {
  return { type, name: type.split('.').at(-1)!, severity: undefined, description, dedupFields: undefined };
}
