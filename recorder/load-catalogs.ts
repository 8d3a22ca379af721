import type { Catalog } from '../core/catalog.ts';

/** How catalogs are read. */
export interface LoadCatalogsOptions {
  /** The name of catalogs that their file does not name; otherwise the package, then the name of the file. */
  readonly prefix?: string;
}

/**
 * Reads catalogs from .proto files when the program runs, for those that generate no constants. Loads the protobuf parser, which nothing else of
 * a recorder does. Rejects CONFIG with a line `file:line:column: …` for each problem.
 */
export async function loadCatalogs(paths: string | readonly string[], options: LoadCatalogsOptions = {}): Promise<Catalog[]> {
  const { readCatalogs } = await import('../proto/catalog-file.ts');
  return readCatalogs(typeof paths === 'string' ? [paths] : paths, options);
}
