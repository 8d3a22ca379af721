import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { CATALOG } from '../core/catalog.ts';
import { asError } from '../core/errors.ts';
import { formatCatalogProblem, readCatalogFiles, type CatalogFile } from '../proto/catalog-file.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { catalogModule } from './catalog-module.ts';
import { EXIT, ExitError } from './exit.ts';
import { cut, plural, print, printJson, screenColumns, table } from './text.ts';

export interface CatalogFlags {
  readonly prefix?: string;
  readonly json?: boolean;
}

export interface GenerateFlags extends CatalogFlags {
  readonly output?: string;
  readonly import: string;
  readonly check?: boolean;
}

/** One line of `catalog show`. */
export interface ShownType {
  readonly type: string;
  readonly severity: string | null;
  readonly description: string;
  readonly dedupFields: readonly string[] | null;
  readonly file: string;
}

const DESCRIPTION_COLUMNS_MIN = 20;

/**
 * Writes typed constants to `--output`, or shows them. With `--check` it writes nothing, and exits 1 where the file is not what it would be.
 * Rejects with exit code 78 for a catalog that is wrong, 64 for flags that do not go together.
 */
export async function generateCatalog(paths: readonly string[], flags: GenerateFlags): Promise<void> {
  const { output, check } = flags;
  if (check === true && output === undefined) throw new ExitError(EXIT.usage, '--check must come with --output, which file to check');
  const text = catalogModule(await read(paths, flags), flags.import);
  if (output === undefined) process.stdout.write(text);
  else if (check !== true) await write(output, text);
  else await compare(output, text);
}

/** The event types of files. Rejects with exit code 78 for a catalog that is wrong. */
export async function showCatalog(paths: readonly string[], flags: CatalogFlags): Promise<void> {
  const types = (await read(paths, flags)).flatMap(typesOf);
  if (flags.json === true) printJson({ types });
  else print(typeTable(types, screenColumns()));
}

interface ProxyCatalogs {
  readonly unknownTypes: string;
  readonly catalogs: readonly { readonly name: string; readonly types: readonly Omit<ShownType, 'file'>[] }[];
}

/** The event types that a proxy knows. Rejects with exit code 64 for flags that go with files only. */
export async function showProxyCatalogs(api: Api, { json, prefix }: CatalogFlags): Promise<void> {
  if (prefix !== undefined) throw new ExitError(EXIT.usage, '--prefix must come with files, got none');
  const answer = await askProxy<ProxyCatalogs>(api, '/v1/catalogs', { needs: ['catalogs'] });
  const types = answer.catalogs.flatMap((catalog) => catalog.types);
  if (json === true) printJson(answer);
  else print(types.length === 0 ? 'the proxy has no catalogs: it takes every type' : typeTable(types, screenColumns()));
}

/** Descriptions are cut so that a line fits into `columns`, if it can. */
export function typeTable(types: readonly Omit<ShownType, 'file'>[], columns: number): string {
  const head = ['type', 'severity', 'dedup by', 'description'];
  const rows = types.map(({ type, severity, description, dedupFields }) => [
    visible(type),
    severity ?? '-',
    dedupFields === null ? '-' : visible(dedupFields.join(', ')) || 'type alone',
    visible(description.replaceAll(/\s+/g, ' ')),
  ]);
  const others = [0, 1, 2].reduce((sum, column) => sum + Math.max(...[head, ...rows].map((row) => row[column]!.length)) + 2, 0);
  const room = Math.max(DESCRIPTION_COLUMNS_MIN, columns - others);
  return table(
    head,
    rows.map((row) => row.map((cell, column) => (column === 3 ? cut(cell, room) : cell))),
  );
}

function typesOf({ file, catalogs }: CatalogFile): ShownType[] {
  return catalogs
    .flatMap((catalog) => catalog[CATALOG].types)
    .map(({ type, severity, description, dedupFields }) => ({
      type,
      severity: severity ?? null,
      description,
      dedupFields: dedupFields ?? null,
      file,
    }));
}

async function read(paths: readonly string[], { prefix }: CatalogFlags): Promise<CatalogFile[]> {
  const files = await readCatalogFiles(paths, prefix === undefined ? {} : { prefix });
  const problems = files.flatMap((file) => file.problems);
  if (problems.length === 0) return files;
  const text = `${problems.map(formatCatalogProblem).join('\n')}\n${plural(problems.length, 'problem')}`;
  throw new ExitError(problems.every(({ line }) => line === 0) ? EXIT.noInput : EXIT.config, text);
}

/** Written aside and renamed: a build that reads it meanwhile sees the old one or the new one. */
async function write(output: string, text: string): Promise<void> {
  const there = await textOf(output).catch(() => undefined); // what cannot be read is replaced, or the rename says why not
  if (there === text) return; // its time stays as it is, so that nothing is built again
  const aside = `${output}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await writeFile(aside, text);
    await rename(aside, output);
  } catch (error) {
    await rm(aside, { force: true });
    throw new ExitError(EXIT.disk, `${output} must be writable, ${asError(error).message}`, error);
  }
}

async function compare(output: string, text: string): Promise<void> {
  const there = await textOf(output);
  // A checkout on Windows may have other line ends.
  if (there?.replaceAll('\r\n', '\n') === text) return;
  const what = there === undefined ? 'is not there' : 'is stale';
  throw new ExitError(EXIT.attention, `${output} ${what}: the same command without --check writes it`);
}

/** `undefined` if there is no such file. One that cannot be read is another matter, and rejects. */
async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ExitError(EXIT.noInput, `${path} must be readable, got ${asError(error).message}`, error);
  }
}
