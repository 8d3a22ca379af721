import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from 'chai';
import type { Api } from '../../cli/api.ts';
import { ExitError } from '../../cli/exit.ts';
import { readFilter, type FilterSource } from '../../cli/filter-source.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const NOBODY: Api = { url: 'http://127.0.0.1:1', tls: {}, token: undefined };

describe('a filter on the command line', () => {
  let folder: string;
  let remove: () => Promise<void>;
  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
    writeFileSync(join(folder, 'good.yaml'), 'minSeverity: warn\nnot: { object: { kind: Disk } }\n');
    writeFileSync(join(folder, 'bad.yaml'), 'minSeverity: warn\nobject: { kin: Disk }\n');
    writeFileSync(join(folder, 'broken.yaml'), 'a: [');
    writeFileSync(join(folder, 'list.yaml'), '- a');
  });
  afterEach(async () => remove());

  const source = ({ file, ...rest }: FilterSource): FilterSource => ({ ...rest, ...(file !== undefined && { file: join(folder, file) }) });

  it('is read from a text or a file', async () => {
    assert.deepEqual(await readFilter(NOBODY, { filter: '{ attributes: { a: { min: 1 } } }' }), { attributes: { a: [{ min: 1 }] } });
    assert.deepEqual(await readFilter(NOBODY, { filter: '{}' }), {});
    assert.deepEqual(await readFilter(NOBODY, source({ file: 'good.yaml' })), {
      minSeverity: 'warn',
      not: [{ object: { kind: ['Disk'] } }],
    });
  });

  const wrong: [FilterSource, exitCode: number, says: string][] = [
    [{}, 64, 'give the name of a writer, --filter or --file: one of them, got 0'],
    [{ name: 'ops', filter: '{}' }, 64, 'give the name of a writer, --filter or --file: one of them, got 2'],
    [{ filter: '{ sevrity: warn }' }, 64, '--filter: sevrity is unknown, expected any of minSeverity, severity'],
    [{ filter: 'warn' }, 64, `--filter must be a map such as '{ minSeverity: warn }', got "warn"`],
    [{ filter: '{' }, 64, '--filter must be YAML'],
    [{ filter: '{ types: ["${NOT_SET_FOR_SURE}"] }' }, 64, 'NOT_SET_FOR_SURE'],
    [{ file: 'bad.yaml' }, 64, 'bad.yaml:2:11: object.kin is unknown, expected any of kind, name'],
    [{ file: 'list.yaml' }, 64, 'the config file must be a map, got a list'],
    [{ file: 'broken.yaml' }, 66, 'broken.yaml:1'],
    [{ file: 'none.yaml' }, 66, 'must be a readable file'],
  ];
  for (const [given, exitCode, says] of wrong) {
    it(`is refused with ${exitCode}: ${JSON.stringify(given)}`, async () => {
      const error: unknown = await readFilter(NOBODY, source(given)).catch((thrown: unknown) => thrown);
      assert.instanceOf(error, ExitError);
      assert.include(error.message, says);
      assert.equal(error.exitCode, exitCode);
    });
  }
});
