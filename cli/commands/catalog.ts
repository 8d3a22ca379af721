import type { Command } from 'commander';
import type { CatalogFlags, GenerateFlags } from '../catalog.ts';
import { addNoun, apiOf, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addCatalog(to: Command): void {
  const catalog = addNoun(to, 'catalog', 'event types: of .proto files, or those that the proxy knows');
  const show = catalog
    .command('show', { isDefault: true })
    .description('the types with severity, dedup fields and description; without files those that the proxy knows')
    .argument('[file...]', '.proto files with enums');
  withExamples(
    withPrefix(withApiAndJson(show)),
    'fondaco catalog',
    'fondaco catalog show cluster.proto',
    'fondaco catalog show *.proto --json | jq -r .types[].type',
  ).action(async (files: string[], flags: CatalogFlags & ApiFlags) => {
    const { showCatalog, showProxyCatalogs } = await import('../catalog.ts');
    if (files.length > 0) await showCatalog(files, flags);
    else await showProxyCatalogs(apiOf(flags), flags);
  });
  const generate = catalog
    .command('generate')
    .description('typed constants in TypeScript: a wrong type is a compile error')
    .argument('<file...>', '.proto files with enums')
    .option('-o, --output <file>', 'where to write them; on stdout without')
    .option('--import <module>', 'where the module imports defineCatalog from', 'fondaco/recorder')
    .option('--check', 'write nothing, exit 1 if the output is not what it would be');
  withExamples(
    withPrefix(generate),
    'fondaco catalog generate cluster.proto -o cluster-events.ts',
    'fondaco catalog generate cluster.proto -o cluster-events.ts --check',
    'fondaco catalog generate cluster.proto -o cluster-events.ts --import fondaco-recorder',
  ).action(async (files: string[], flags: GenerateFlags) => {
    const { generateCatalog } = await import('../catalog.ts');
    await generateCatalog(files, flags);
  });
}

function withPrefix(verb: Command): Command {
  return verb.option('--prefix <name>', 'the name of catalogs that have none of their own; then the package, then the name of the file');
}
