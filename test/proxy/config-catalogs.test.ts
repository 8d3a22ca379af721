import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import { CATALOG } from '../../core/catalog.ts';
import { checkConfig, formatProblem } from '../../proxy/config.ts';
import { tempDirectory } from '../support/temp-directory.ts';

describe('catalogs in a config', () => {
  let folder = '';
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    mkdirSync(join(folder, 'types'));
    writeFileSync(join(folder, 'types/a.proto'), 'package a;\nenum E { A = 0; }');
  });
  afterEach(() => remove());

  async function check(text: string): ReturnType<typeof checkConfig> {
    const file = join(folder, 'fondaco.yaml');
    writeFileSync(file, text);
    return checkConfig(file, { env: {}, cwd: '/' });
  }

  async function problems(text: string): Promise<string[]> {
    const checked = await check(text);
    assert.isTrue('problems' in checked, 'it was taken');
    return 'problems' in checked ? checked.problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, '')) : [];
  }

  it('are read from beside the config', async () => {
    const checked = await check('catalogs: [types/a.proto]\nunknownTypes: reject');
    assert.isTrue('config' in checked);
    if (!('config' in checked)) return;
    assert.equal(checked.config.catalogs[0]![CATALOG].name, 'a');
    assert.equal(checked.config.unknownTypes, 'reject');
  });

  it('have their problems told at their own lines, behind those of the config', async () => {
    writeFileSync(join(folder, 'b.proto'), 'package b;\nimport "c.proto";\nenum E { A = 0; }');
    writeFileSync(join(folder, 'd.proto'), 'package a;\n\nenum E {\n  A = 0;\n  B = 0;\n}');
    writeFileSync(join(folder, 'e.proto'), 'package a;\nenum E {\n\n\n  A = 0;\n}');
    const found = await problems('sites: x\ncatalogs: [types/a.proto, b.proto]\nunknownTypes: maybe');
    assert.deepEqual(
      found.map((line) => line.slice(0, 60)),
      ['fondaco.yaml:1:1: sites is unknown, expected any of site, la', 'fondaco.yaml:3:15: unknownTypes must be one of accept, rejec'],
    );
    assert.deepEqual(await problems('\n\n\n\n\n\n\ncatalogs: [types/a.proto, none.proto, d.proto, e.proto, b.proto]'), [
      `fondaco.yaml:8:27: catalogs[1]: a catalog must be a readable file in UTF-8, ENOENT: no such file or directory, stat 'none.proto', got "none.proto"`,
      'b.proto:2:9: import "c.proto" must be a file beside this one or in a folder above, got none',
      'd.proto:5:7: d.proto must be protobuf, got duplicate id 0 in Enum E',
      'e.proto:5:3: an event type must be in one catalog, got a.A, which is at types/a.proto:2, too',
    ]);
  });

  const bad: [text: string, says: string][] = [
    ['unknownTypes: reject', 'fondaco.yaml:1:15: unknownTypes must be accept without catalogs, got "reject"'],
    ['catalogs: a.proto', 'fondaco.yaml:1:11: catalogs must be a list, got "a.proto"'],
    ['catalogs: [7]', 'fondaco.yaml:1:12: catalogs[0] must be the path of a .proto file, got 7'],
    ['catalogs: [types]', 'fondaco.yaml:1:12: catalogs[0]: a catalog must be a file, got something else'],
  ];
  for (const [text, says] of bad) {
    it(`must not be ${text}`, async () => {
      const [first = ''] = await problems(text);
      assert.isTrue(first.startsWith(says), first);
    });
  }
});
