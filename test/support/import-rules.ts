import { posix } from 'node:path';
import ts from 'typescript';

/**
 * The import rules of the design (section 10): which of our folders each folder may import, besides itself. Imports go one way:
 * core ← proto, journal, dispatcher ← writers ← recorder, proxy ← cli.
 */
export const ALLOWED_FOLDERS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  proto: ['core'],
  journal: ['core'],
  // It knows no concrete input, journal or writer: those reach it through the interfaces of core.
  dispatcher: ['core'],
  writers: ['core', 'proto'],
  recorder: ['core', 'proto', 'journal'],
  // What users test with: of both packages.
  testing: ['core', 'recorder', 'writers'],
  proxy: ['core', 'proto', 'journal', 'dispatcher', 'writers'],
  cli: ['core', 'proto', 'journal', 'dispatcher', 'writers', 'recorder', 'proxy'],
  demo: ['core', 'proto', 'journal', 'dispatcher', 'writers', 'recorder', 'proxy', 'cli'],
};

/** Folders that may import whatever they like of ours; nothing of the above may import them. */
export const FREE_FOLDERS: readonly string[] = ['test', 'bench', 'scripts'];

/** Packages with one home. */
const PACKAGE_HOMES: readonly { matches: RegExp; homes: readonly string[]; instead: string }[] = [
  {
    matches: /^(level|classic-level|abstract-level)$/,
    homes: ['journal'],
    instead: 'only journal/ knows the disk format: use the journal interface of core, and open it with journal/',
  },
  {
    matches: /^protobufjs(\/|$)/,
    homes: ['proto'],
    instead: 'only proto/ reads .proto files: proto/catalog-file.ts reads catalogs',
  },
  {
    matches: /^(@grpc\/|grpc-health-check$)/,
    homes: ['proto', 'recorder', 'proxy'],
    instead: 'gRPC belongs to proto/ (loading, client session), recorder/ and proxy/: move the part that speaks it there',
  },
];

const FORBIDDEN_FOLDERS = ['src', 'utils', 'common', 'helpers', 'types'];
const LINES_MAX = 400;

/** What one source file breaks, each as a sentence that says what to do instead. `file` is relative to the repository, with forward slashes. */
export function importProblems(file: string, text: string): string[] {
  const folder = topFolder(file);
  const problems: string[] = [];
  for (const { specifier, line } of importsOf(text)) {
    const problem = specifier.startsWith('.') ? relativeProblem(file, folder, specifier) : packageProblem(folder, specifier);
    if (problem !== undefined) problems.push(`${file}:${line}: import '${specifier}': ${problem}`);
  }
  return problems;
}

/** What the place and the size of one file break. */
export function layoutProblems(file: string, text: string): string[] {
  const problems: string[] = [];
  const folders = file.split('/').slice(0, -1);
  const vague = folders.find((folder) => FORBIDDEN_FOLDERS.includes(folder));
  if (vague !== undefined) {
    problems.push(
      `${file}: a folder called ${vague} says nothing about what is in it: name it after the thing, or put the file beside its only user`,
    );
  }
  const folder = topFolder(file);
  if (folder !== '' && ALLOWED_FOLDERS[folder] === undefined && !FREE_FOLDERS.includes(folder)) {
    problems.push(
      `${file}: the folder ${folder}/ has no import rule: put the file into a folder of the design (section 10), or give it a rule in test/support/import-rules.ts`,
    );
  }
  const lines = text.replace(/\n$/, '').split('\n').length;
  if (ALLOWED_FOLDERS[folder] !== undefined && lines > LINES_MAX) {
    problems.push(`${file}: ${lines} lines, at most ${LINES_MAX}: find the second thing that this file does and give it a file of its own`);
  }
  return problems;
}

function importsOf(text: string): { specifier: string; line: number }[] {
  const { importedFiles } = ts.preProcessFile(text, true, true);
  return importedFiles.map(({ fileName, pos }) => ({ specifier: fileName, line: text.slice(0, pos).split('\n').length }));
}

function relativeProblem(file: string, folder: string, specifier: string): string | undefined {
  if (!/\.tsx?$/.test(specifier)) return 'a relative import names the file with its ending, .ts, so that Node can run the source as it is';
  const target = topFolder(posix.join(posix.dirname(file), specifier));
  const allowed = ALLOWED_FOLDERS[folder];
  if (allowed === undefined || target === folder || allowed.includes(target)) return undefined;
  if (FREE_FOLDERS.includes(target) || target === 'demo') {
    return `${target}/ is not shipped: move what both need into a folder that ${folder}/ may import`;
  }
  if ((folder === 'recorder' && target === 'proxy') || (folder === 'proxy' && target === 'recorder')) {
    return 'recorder and proxy never import each other: move what both need to core/, proto/ or journal/';
  }
  const list = allowed.length === 0 ? 'nothing of ours' : `only ${allowed.join(', ')}`;
  return `${folder}/ may import ${list}, not ${target}/: take it as a parameter (an interface in core/), or move what is shared downwards`;
}

function packageProblem(folder: string, specifier: string): string | undefined {
  if (ALLOWED_FOLDERS[folder] === undefined) return undefined;
  if (folder !== 'demo' && /^fondaco(\/|$)/.test(specifier))
    return 'this is our own package, as built: import the source by its relative path';
  const rule = PACKAGE_HOMES.find(({ matches }) => matches.test(specifier));
  return rule === undefined || rule.homes.includes(folder) ? undefined : rule.instead;
}

/** The first folder of a path; empty for a file at the root or a path that leaves the repository. */
function topFolder(path: string): string {
  const [first = '', ...rest] = posix.normalize(path).split('/');
  return rest.length === 0 || first === '..' ? '' : first;
}
