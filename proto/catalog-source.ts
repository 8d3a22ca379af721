/** Reads a .proto file and looks for what it imports. Nothing is taken over from the imports but that they are there and sound. */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { asError } from '../core/errors.ts';
import { enumsOf, importsOf, syntaxOf, tokensOf, type SourceEnum, type SourceImport } from './enum-source.ts';

/** What is wrong with a catalog's file, and where; lines and columns from 1, line 0 where the file as a whole is meant. */
export interface CatalogProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** A .proto file that has been parsed. */
export interface ProtoSource {
  readonly file: string;
  readonly text: string;
  readonly package: string;
  readonly enums: readonly SourceEnum[];
  readonly imports: readonly SourceImport[];
  /** The comments of an enum's values by their names: behind the value, or else above it. */
  readonly comments: (enumPath: string) => Readonly<Record<string, string | null>>;
}

/** The options' own file, as it is imported. */
export const OPTIONS_FILE = 'fondaco/v1/catalog.proto';

/** Of a problem in the parser's words, which may quote the file. */
const SAID_CHARS_MAX = 200;
const FILE_BYTES_MAX = 4 * 1024 * 1024;
/** Files that one may draw in. */
const FILES_MAX = 1000;
const OURS = fileURLToPath(new URL('.', import.meta.url));
/** protobuf's own, which every compiler brings along. */
const WELL_KNOWN =
  /^google\/protobuf\/(any|api|cpp_features|descriptor|duration|empty|field_mask|go_features|java_features|source_context|struct|timestamp|type|wrappers)\.proto$/;

/** One problem, thrown. */
export class ProtoError extends Error {
  readonly problem: CatalogProblem;

  constructor(problem: CatalogProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** Reads and parses one file. Rejects with a ProtoError. */
export async function readProto(file: string): Promise<ProtoSource> {
  const text = await readText(file);
  const parsed = parse(file, text);
  const tokens = tokensOf(text);
  const syntax = syntaxOf(tokens);
  if (syntax !== undefined && syntax.text !== 'proto2' && syntax.text !== 'proto3')
    throw problemAt(file, text, syntax.line, syntax.text, `syntax must be proto2 or proto3, got ${JSON.stringify(syntax.text)}`);
  const package_ = parsed.package ?? '';
  const comments = (path: string): Record<string, string | null> => {
    // protobufjs keeps what was added to a root under its whole name.
    const found = parsed.root.lookup(`${package_}.${path}`.replace(/^\./, ''), protobuf.Enum);
    return found instanceof protobuf.Enum ? found.comments : {};
  };
  return { file, text, package: package_, enums: enumsOf(tokens), imports: importsOf(tokens), comments };
}

/**
 * Follows the imports: `fondaco/v1/…` is of this package, `google/protobuf/…` is known, any other is looked for beside the file that imports
 * it and in the folders above. Resolves with whether our options are among them. Rejects with a ProtoError for one that is missing or broken.
 */
export async function followImports(source: ProtoSource): Promise<{ hasOptions: boolean }> {
  const seen = new Set([resolve(source.file)]);
  const waiting = [source];
  let hasOptions = false;
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    for (const { path, line } of next.imports) {
      if (path === OPTIONS_FILE) hasOptions = true;
      if (WELL_KNOWN.test(path)) continue;
      const file = await locate(next.file, path);
      if (file === undefined) throw problemAt(next.file, next.text, line, path, missingText(path));
      if (path.startsWith('fondaco/v1/') || seen.has(file)) continue;
      seen.add(file);
      if (seen.size > FILES_MAX) throw problemAt(next.file, next.text, line, path, `imports must be at most ${FILES_MAX} files, got more`);
      waiting.push(await readProto(file));
    }
  }
  return { hasOptions };
}

/** A problem at a word of a line. */
export function problemAt(file: string, text: string, line: number, word: string, message: string): ProtoError {
  const column = (text.split('\n')[line - 1] ?? '').indexOf(word) + 1;
  return new ProtoError({ file, line, column: Math.max(column, 1), message });
}

function missingText(path: string): string {
  const where = path.startsWith('fondaco/') ? 'a file of this package' : 'a file beside this one or in a folder above';
  return `import ${JSON.stringify(path)} must be ${where}, got none`;
}

async function locate(from: string, path: string): Promise<string | undefined> {
  if (path.startsWith('fondaco/v1/')) return (await isFile(join(OURS, path))) ? join(OURS, path) : undefined;
  for (let folder = dirname(resolve(from)), above = ''; folder !== above; [above, folder] = [folder, dirname(folder)]) {
    if (await isFile(join(folder, path))) return join(folder, path);
  }
  return undefined;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

async function readText(file: string): Promise<string> {
  const whole = (message: string): ProtoError => new ProtoError({ file, line: 0, column: 0, message });
  try {
    const found = await stat(file);
    // A pipe or a device may never end.
    if (!found.isFile()) throw whole('a catalog must be a file, got something else');
    const { size } = found;
    if (size > FILE_BYTES_MAX) throw whole(`a catalog must be a file of at most ${FILE_BYTES_MAX} bytes, got ${size}`);
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof ProtoError) throw error;
    throw whole(`a catalog must be a readable file in UTF-8, ${asError(error).message}`);
  }
}

function parse(file: string, text: string): protobuf.IParserResult {
  try {
    return protobuf.parse(text, new protobuf.Root(), { keepCase: true, alternateCommentMode: true, preferTrailingComment: true });
  } catch (error) {
    throw syntaxProblem(file, text, asError(error).message);
  }
}

/** protobufjs says the line of what it cannot read, and of what it will not have only a name or a number. */
function syntaxProblem(file: string, text: string, message: string): ProtoError {
  const [, what = message, given] = /^(.*?)(?: \((?:[^()]*, )?line (\d+)\))?$/s.exec(message) ?? [];
  const word = /'([^']*)'/.exec(what)?.[1] ?? /\bid (-?\d+)/.exec(what)?.[1] ?? '';
  const line = given === undefined ? lastLineOf(text, word) : Number(given);
  if (word in Object.prototype && what.startsWith('duplicate name'))
    return problemAt(
      file,
      text,
      line,
      word,
      `an event type must have another name than ${word}, which the parser (protobufjs) cannot read`,
    );
  return problemAt(
    file,
    text,
    line,
    word,
    `${basename(file)} must be protobuf, got ${what === '' ? 'something else' : what.slice(0, SAID_CHARS_MAX)}`,
  );
}

/** The last place of a name or number: what is there twice is at fault the second time. */
function lastLineOf(text: string, word: string): number {
  if (word === '') return 1;
  try {
    return (
      tokensOf(text)
        .filter((token) => token.text === word)
        .at(-1)?.line ?? 1
    );
  } catch {
    return 1;
  }
}
