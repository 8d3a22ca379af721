import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import { generateCatalog, typeTable } from '../../cli/catalog.ts';
import { catalogModule, constantOf } from '../../cli/catalog-module.ts';
import { ExitError } from '../../cli/exit.ts';
import { defineCatalog } from '../../core/catalog.ts';
import { readCatalogFiles, type CatalogFile } from '../../proto/catalog-file.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const GRID = fileURLToPath(new URL('../catalog/svc_grid.proto', import.meta.url));
const EVENTS = fileURLToPath(new URL('../catalog/grid-events.ts', import.meta.url));

describe('fondaco catalog', () => {
  let folder = '';
  let remove: () => Promise<void>;

  beforeEach(async () => {
    ({ path: folder, remove } = await tempDirectory());
  });
  afterEach(() => remove());

  async function exitOf(run: Promise<void>): Promise<ExitError> {
    try {
      await run;
    } catch (error) {
      if (error instanceof ExitError) return error;
      throw error;
    }
    throw new Error('it ended well');
  }

  it('generates the module that the type test compiles', async () => {
    const output = join(folder, 'events.ts');
    await generateCatalog([GRID], { output, import: '../../recorder/index.ts' });
    assert.equal(readFileSync(output, 'utf8'), readFileSync(EVENTS, 'utf8'));
    assert.deepEqual(readdirSync(folder), ['events.ts']);
  });

  it('says whether the module is what it would be, and leaves one alone that is', async () => {
    const output = join(folder, 'events.ts');
    const flags = { output, import: 'fondaco-recorder' };
    assert.include(await exitOf(generateCatalog([GRID], { ...flags, check: true })), {
      exitCode: 1,
      message: `${output} is not there: the same command without --check writes it`,
    });
    await generateCatalog([GRID], flags);
    utimesSync(output, 1, 1);
    await generateCatalog([GRID], flags);
    await generateCatalog([GRID], { ...flags, check: true });
    assert.equal(statSync(output).mtimeMs, 1000);
    writeFileSync(output, readFileSync(output, 'utf8').replaceAll('\n', '\r\n'));
    await generateCatalog([GRID], { ...flags, check: true });
    assert.include(await exitOf(generateCatalog([GRID], { ...flags, check: true, import: 'fondaco/recorder' })), { exitCode: 1 });
    assert.include(await exitOf(generateCatalog([GRID], { import: 'x', check: true })), { exitCode: 64 });
  });

  it('ends with 66 without a file, 78 for a wrong one, 74 where it cannot write', async () => {
    const wrong = join(folder, 'wrong.proto');
    writeFileSync(wrong, 'enum E {');
    mkdirSync(join(folder, 'events.ts'));
    assert.include(await exitOf(generateCatalog([join(folder, 'none.proto')], { import: 'x' })), { exitCode: 66 });
    const error = await exitOf(generateCatalog([GRID, wrong], { import: 'x' }));
    assert.include(error, {
      exitCode: 78,
      message: `${wrong}:1:1: wrong.proto must be protobuf, got illegal token 'null', '=' expected\n1 problem`,
    });
    assert.include(await exitOf(generateCatalog([GRID], { output: join(folder, 'events.ts'), import: 'x' })), { exitCode: 74 });
    const unreadable = await exitOf(generateCatalog([GRID], { output: join(folder, 'events.ts'), import: 'x', check: true }));
    assert.strictEqual(unreadable.exitCode, 66, 'what cannot be read is not what is not there');
    assert.match(unreadable.message, /events\.ts must be readable, got EISDIR/);
    assert.deepEqual(readdirSync(folder).sort(), ['events.ts', 'wrong.proto']);
  });

  it('writes a module that says what the catalog says, whatever is in its texts', async () => {
    const description = 'it\'s */ a "test" \\ ${x} `y`\nof \u2028lines\u0007';
    const name = 'power-grid.site-9';
    const definitions = { 'a-b': { description }, constructor: { severity: 'warn', dedupFields: ["attributes.it's"] }, 9: {} } as const;
    const catalog = defineCatalog(name, definitions);
    assert.equal(constantOf(catalog), 'PowerGridSite9Events');
    const module = join(folder, 'events.mts');
    const from = new URL('../../core/catalog.ts', import.meta.url).href;
    const file: CatalogFile = { file: 'a*/b.proto', catalogs: [catalog], problems: [] };
    writeFileSync(module, catalogModule([file], from));
    const { PowerGridSite9Events } = (await import(module)) as { PowerGridSite9Events: unknown };
    assert.deepEqual(JSON.stringify(PowerGridSite9Events), JSON.stringify(catalog));
    const facts = Symbol.for('fondaco.catalog/1');
    assert.deepEqual((PowerGridSite9Events as Record<symbol, unknown>)[facts], (catalog as unknown as Record<symbol, unknown>)[facts]);
  });

  it('refuses two catalogs that would be one constant', async () => {
    const [grid] = await readCatalogFiles([GRID]);
    assert.throws(
      () => catalogModule([grid!, { ...grid!, file: 'b.proto' }], 'x'),
      /would be the constant GridEvents, in .*svc_grid\.proto and b\.proto/,
    );
  });

  it('shows types in a table that fits the screen', () => {
    const types = [
      {
        type: 'grid.BreakerOpened',
        severity: 'warn',
        description: 'Breaker  opened\nunder load, and so on and on',
        dedupFields: ['object', 'attributes.port'],
        file: '',
      },
      { type: 'grid.B', severity: null, description: '', dedupFields: [], file: '' },
      { type: 'grid.C', severity: null, description: '\u001b[31m', dedupFields: null, file: '' },
    ];
    assert.deepEqual(typeTable(types, 90).split('\n'), [
      'type                severity  dedup by                 description',
      'grid.BreakerOpened  warn      object, attributes.port  Breaker opened under load, and so …',
      'grid.B              -         type alone',
      'grid.C              -         -                        \\e[31m',
    ]);
  });
});
