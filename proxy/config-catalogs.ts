import { dirname, resolve } from 'node:path';
import type { Catalog } from '../core/catalog.ts';
import { showPath, type ConfigText } from './config-yaml.ts';

/** Reads the catalogs that a config names, relative to it. What is wrong in a file is a problem there, with its own line. */
export async function readConfigCatalogs(
  text: ConfigText,
  { catalogs: paths, unknownTypes }: { readonly catalogs: readonly string[]; readonly unknownTypes: 'accept' | 'reject' },
): Promise<Catalog[]> {
  if (unknownTypes === 'reject' && paths.length === 0)
    text.problem(
      ['unknownTypes'],
      'unknownTypes must be accept without catalogs, got "reject": no type is known, so no event would be taken',
    );
  if (paths.length === 0) return []; // the parser is not loaded
  const { readCatalogFiles } = await import('../proto/catalog-file.ts');
  const files = await readCatalogFiles(paths.map((path) => resolve(dirname(text.file), path)));
  for (const [index, { problems }] of files.entries()) {
    const key = ['catalogs', index];
    for (const { file, line, column, message } of problems) {
      if (line > 0) text.problems.push({ file, line, column, key: showPath(key), message });
      else text.problem(key, `${showPath(key)}: ${message}, got ${text.got(key)}`);
    }
  }
  return files.flatMap(({ catalogs }) => catalogs);
}
