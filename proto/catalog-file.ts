/**
 * Catalogs from .proto files (design section 4). Enums are catalogs: those that say so with `option (fondaco.v1.catalog)`; in a file where
 * none does, all that are in no message. Enums with one name are one catalog, in the order of the file.
 *
 * - The name is that option, else the caller's prefix, else the package's last part that is no version, else the file's name without `svc_`.
 * - Each value is an event type of its own, aliases too: an event carries the name, never the number. Only a value `UNSPECIFIED` or
 *   `…_UNSPECIFIED` with the number 0 is none.
 * - Its comment is the description, its options (fondaco/v1/catalog.proto) say severity and dedup fields.
 */
import { basename, extname } from 'node:path';
import { defineCatalog, definitionProblem, type Catalog, type TypeDefinition } from '../core/catalog.ts';
import { FondacoError } from '../core/errors.ts';
import { SEVERITIES, type Severity } from '../core/severity.ts';
import { followImports, OPTIONS_FILE, problemAt, ProtoError, readProto, type CatalogProblem, type ProtoSource } from './catalog-source.ts';
import type { SourceEnum, SourceOption, SourceValue } from './enum-source.ts';

export type { CatalogProblem } from './catalog-source.ts';

export interface CatalogOptions {
  /** The name of catalogs that the file itself does not name. */
  readonly prefix?: string;
}

/** A file, and the catalogs in it; none where there are problems. */
export interface CatalogFile {
  readonly file: string;
  readonly catalogs: readonly Catalog[];
  readonly problems: readonly CatalogProblem[];
}

/** A type that is defined already, and where. */
type Defined = Map<string, CatalogProblem>;

const VERSION = /^v\d+((p\d+)?(alpha|beta)\d*)?$/;
const PREFIX = 'fondaco.v1.';
const ENUM_OPTIONS = ['catalog', 'default_severity'];
const VALUE_OPTIONS = ['severity', 'description', 'dedup_fields'];

/** Reads catalogs. All that is wrong is in the files' `problems`; a type that an earlier file has, too, is at fault. Never rejects for a file. */
export async function readCatalogFiles(paths: readonly string[], options: CatalogOptions = {}): Promise<CatalogFile[]> {
  const defined: Defined = new Map();
  const files: CatalogFile[] = [];
  for (const path of paths) files.push(await readOne(path, options, defined));
  return files;
}

/** Like `readCatalogFiles`. Rejects CONFIG with a line `file:line:column: …` for each problem. */
export async function readCatalogs(paths: readonly string[], options: CatalogOptions = {}): Promise<Catalog[]> {
  const files = await readCatalogFiles(paths, options);
  const problems = files.flatMap(({ problems }) => problems);
  if (problems.length > 0) throw new FondacoError('CONFIG', problems.map(formatCatalogProblem).join('\n'));
  return files.flatMap(({ catalogs }) => catalogs);
}

/** `/etc/cluster.proto:7:3: …`. */
export function formatCatalogProblem({ file, line, column, message }: CatalogProblem): string {
  return line === 0 ? `${file}: ${message}` : `${file}:${line}:${column}: ${message}`;
}

async function readOne(file: string, options: CatalogOptions, defined: Defined): Promise<CatalogFile> {
  try {
    const source = await readProto(file);
    const { hasOptions } = await followImports(source);
    const found = new Reading(source, options, { hasOptions, defined }).read();
    return found.problems.length > 0 ? { file, catalogs: [], problems: found.problems } : { file, ...found };
  } catch (error) {
    if (error instanceof ProtoError) return { file, catalogs: [], problems: [error.problem] };
    throw error;
  }
}

class Reading {
  readonly #source: ProtoSource;
  readonly #options: CatalogOptions;
  readonly #hasOptions: boolean;
  readonly #defined: Defined;
  readonly #problems: CatalogProblem[] = [];

  constructor(source: ProtoSource, options: CatalogOptions, { hasOptions, defined }: { hasOptions: boolean; defined: Defined }) {
    this.#source = source;
    this.#options = options;
    this.#hasOptions = hasOptions;
    this.#defined = defined;
  }

  read(): { catalogs: Catalog[]; problems: CatalogProblem[] } {
    const { enums, file } = this.#source;
    for (const each of enums) this.#checkOptions(each);
    const named = enums.filter((each) => optionsOf(each.options, 'catalog').length > 0);
    const chosen = named.length > 0 ? named : enums.filter(({ isNested }) => !isNested);
    if (chosen.length === 0) {
      const hint = enums.length > 0 ? `; one within a message counts with option (${PREFIX}catalog)` : '';
      this.#problems.push({ file, line: 1, column: 1, message: `a catalog must have an enum, got none${hint}` });
    }
    const byName = new Map<string, [string, TypeDefinition][]>();
    for (const each of chosen) {
      const name = this.#nameOf(each);
      if (name === undefined) continue;
      const definitions = byName.get(name) ?? [];
      byName.set(name, definitions);
      definitions.push(...this.#definitions(name, each));
    }
    const filled = [...byName].filter(([, definitions]) => definitions.length > 0);
    if (chosen.length > 0 && filled.length === 0 && this.#problems.length === 0)
      this.#at(chosen[0]!.line, chosen[0]!.path, `enum ${chosen[0]!.path} must have event types, got none`);
    if (this.#problems.length > 0) return { catalogs: [], problems: this.#problems };
    return { catalogs: filled.map(([name, definitions]) => defineCatalog(name, Object.fromEntries(definitions))), problems: [] };
  }

  #at(line: number, word: string, message: string): void {
    const { file, text } = this.#source;
    this.#problems.push(problemAt(file, text, line, word, message).problem);
  }

  #nameOf({ options, line, path }: SourceEnum): string | undefined {
    const { package: package_, file } = this.#source;
    const [option] = optionsOf(options, 'catalog');
    const ofPackage = package_
      .split('.')
      .filter((part) => part !== '' && !VERSION.test(part))
      .at(-1);
    const ofFile = basename(file, extname(file)).replace(/^svc_/, '');
    const name = option?.value ?? this.#options.prefix ?? ofPackage ?? ofFile;
    if (/^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/.test(name) && name.length < 128) return name;
    const from = option ? '' : ' (from the name of the file: option (fondaco.v1.catalog), a package or --prefix gives another)';
    const expected = 'a letter, then letters, digits, _ or -, in parts between dots, 127 at most';
    this.#at(
      option?.line ?? line,
      path.split('.').at(-1)!,
      `the name of a catalog must be ${expected}, got ${JSON.stringify(name)}${from}`,
    );
    return undefined;
  }

  #definitions(catalog: string, each: SourceEnum): [string, TypeDefinition][] {
    const comments = this.#source.comments(each.path);
    const [severity] = optionsOf(each.options, 'default_severity');
    const byDefault = severity && this.#severity(severity);
    const values = each.values.filter(({ name, number }) => !(Number(number) === 0 && /(^|_)UNSPECIFIED$/.test(name)));
    return values.flatMap((value): [string, TypeDefinition][] => {
      const definition = this.#definition(value, comments[value.name] ?? undefined, byDefault);
      const problem = definitionProblem(catalog, value.name, definition);
      if (problem) this.#at(value.line, value.name, problem.text);
      if (problem || !this.#define(`${catalog}.${value.name}`, value)) return [];
      return [[value.name, definition]];
    });
  }

  #definition({ options }: SourceValue, comment: string | undefined, byDefault: Severity | undefined): TypeDefinition {
    const [option] = optionsOf(options, 'severity');
    const severity = option ? this.#severity(option) : byDefault;
    const description = optionsOf(options, 'description')[0]?.value ?? comment;
    const fields = optionsOf(options, 'dedup_fields').map(({ value }) => value);
    return {
      ...(severity && { severity }),
      ...(description !== undefined && description !== '' && { description }),
      ...(fields.length > 0 && { dedupFields: fields.length === 1 && fields[0] === '' ? [] : fields }),
    };
  }

  #severity({ value, line }: SourceOption): Severity | undefined {
    const severity = SEVERITIES.find((name) => value === `SEVERITY_${name.toUpperCase()}`);
    if (!severity && value !== 'SEVERITY_UNSPECIFIED') {
      const names = SEVERITIES.map((name) => `SEVERITY_${name.toUpperCase()}`).join(', ');
      this.#at(line, value, `a severity must be one of ${names}, got ${value}`);
    }
    return severity;
  }

  /** False, with a problem, for a type that there is already. */
  #define(type: string, { name, line }: SourceValue): boolean {
    const { file, text } = this.#source;
    const before = this.#defined.get(type);
    const here = problemAt(file, text, line, name, type).problem;
    if (before) this.#at(line, name, `an event type must be in one catalog, got ${type}, which is at ${before.file}:${before.line}, too`);
    else this.#defined.set(type, here);
    return before === undefined;
  }

  /** Of options that begin as ours, those that are none, or whose file is not imported. */
  #checkOptions({ options, values }: SourceEnum): void {
    const check = (given: readonly SourceOption[], known: readonly string[]): void => {
      for (const { name, line } of given.filter((option) => option.name.startsWith(PREFIX))) {
        const own = name.slice(PREFIX.length);
        if (!known.includes(own))
          this.#at(line, name, `an option here must be any of ${known.map((each) => `(${PREFIX}${each})`).join(', ')}, got (${name})`);
        else if (!this.#hasOptions) this.#at(line, name, `option (${name}) must come with import "${OPTIONS_FILE}", got no such import`);
      }
    };
    check(options, ENUM_OPTIONS);
    for (const value of values) check(value.options, VALUE_OPTIONS);
  }
}

function optionsOf(options: readonly SourceOption[], name: string): SourceOption[] {
  return options.filter((option) => option.name === PREFIX + name);
}
