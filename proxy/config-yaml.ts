/**
 * The YAML of a config file: where each key stands, and `${ENV}` and `${file:/path}` in its scalars, resolved after parsing, so that
 * what they give can never be read as YAML. `$${` stands for `${`. What they give is never shown, and neither is a literal secret.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, stringify, visit, type Document, type Node, type Scalar } from 'yaml';
import { asError } from '../core/errors.ts';
import { SECRET_KEYS, secretsIn } from './config-secrets.ts';

/** Something wrong with a config file, and where. Lines and columns begin at 1; 0 where there is no place in the file. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Such as `writers[0].batch.interval`. */
  readonly key: string;
  /** Whole: key, expected, got. */
  readonly message: string;
}

export type KeyPath = readonly PropertyKey[];

const FILE_BYTES_MAX = 64 * 1024;
const CONFIG_BYTES_MAX = 1024 * 1024;
const GOT_CHARS_MAX = 60;
/** What a variable gave. */
interface Given {
  readonly value: string;
  readonly isFile: boolean;
}

/** What a config file holds, and where. */
export class ConfigText {
  /** Plain values, with variables resolved. */
  value: unknown;
  readonly problems: Problem[] = [];
  readonly file: string;
  readonly #document: Document;
  readonly #lines = new LineCounter();
  /** Scalars with variables, as they are written. */
  readonly #written = new Map<Scalar, string>();
  /** What their variables gave. */
  readonly #given = new Map<Scalar, Given[]>();
  /** Those of them with a variable that gave nothing. */
  readonly #unset = new Set<Scalar>();

  /** Reads the file and resolves its variables. Never rejects: what is wrong is in `problems`. */
  static async read(file: string, env: Readonly<Record<string, string | undefined>>): Promise<ConfigText> {
    let text = '';
    let failure: string | undefined;
    try {
      if ((await stat(file)).size > CONFIG_BYTES_MAX) failure = `must be at most ${CONFIG_BYTES_MAX} bytes`;
      else text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
    } catch (error) {
      failure = `must be a readable file in UTF-8, ${asError(error).message}`;
    }
    const config = new ConfigText(file, text);
    if (failure !== undefined) config.problems.push({ file, line: 0, column: 0, key: '', message: `the config file ${failure}` });
    await config.#resolveVariables(env);
    config.value = config.problems.length > 0 ? config.#valueIfSound() : config.#document.toJS();
    return config;
  }

  /** The same of a config that is an object; its problems have no place but their key. */
  static async of(value: object, file: string, env: Readonly<Record<string, string | undefined>>): Promise<ConfigText> {
    const config = new ConfigText(file, stringify(value));
    await config.#resolveVariables(env);
    config.value = config.#valueIfSound();
    return config;
  }

  private constructor(file: string, text: string) {
    this.file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, stringKeys: true });
    const lines = text.split('\n');
    for (const error of [...this.#document.errors, ...this.#document.warnings]) {
      // The library may quote what it did not expect, which may be a secret.
      const message = error.message.replace(/: ".*"$/s, '');
      const at = this.#at(error.pos[0]);
      const hint = /[{[].*\$\{/.test(lines[at.line - 1] ?? '') ? ' (between { } or [ ] a variable needs quotes)' : '';
      this.problems.push({ file, ...at, key: '', message: `the config file must be YAML: ${message}${hint}` });
    }
  }

  /** False where the YAML itself is broken, so that nothing can be said of its keys. */
  get isSound(): boolean {
    return this.#document.errors.length === 0;
  }

  /** True for what has a variable in it that gave no value, which is among the problems. */
  isUnset(path: KeyPath): boolean {
    let isUnset = false;
    const node = this.#node(path);
    if (!node) return false;
    visit(node, { Scalar: (_key, scalar) => void (isUnset ||= this.#unset.has(scalar)) });
    return isUnset;
  }

  /** Adds the problem that the value at `path` must be `expected`. Nothing is said of a variable that gave no value: that was said before. */
  mustBe(path: KeyPath, expected: string): void {
    const node = this.#node(path);
    if (isScalar(node) && this.#unset.has(node)) return;
    this.problem(path, `${showPath(path) || 'the config file'} must be ${expected}, got ${this.got(path)}`);
  }

  /** Adds a problem at the value of `path`, or at what is nearest to it. */
  problem(path: KeyPath, message: string): void {
    this.#add(path, this.#offset(path), message);
  }

  /** Adds a problem at the key itself. */
  keyProblem(path: KeyPath, message: string): void {
    this.#add(path, this.#keyOffset(path) ?? this.#offset(path), message);
  }

  /** What is written at `path`, for people; never what a variable gave, and never a secret. */
  got(path: KeyPath): string {
    const node = this.#node(path);
    if (node === undefined) return 'nothing';
    if (isMap(node)) return 'a map';
    if (isSeq(node)) return 'a list';
    if (!isScalar(node)) return 'something else';
    const written = this.#written.get(node);
    if (written !== undefined) return `what ${JSON.stringify(written)} gives`;
    if (node.value === null) return 'nothing';
    if (path.some((key) => typeof key === 'string' && SECRET_KEYS.test(key))) return 'a value that is not shown';
    if (typeof node.value !== 'string') return node.source ?? JSON.stringify(node.value);
    const text = path.at(-1) === 'url' ? withoutCredentials(node.value) : node.value;
    return text.length > GOT_CHARS_MAX
      ? `${JSON.stringify(text.slice(0, GOT_CHARS_MAX))}… (${text.length} characters)`
      : JSON.stringify(text);
  }

  /** What stands at `path` where it holds a variable, as it is written; undefined anywhere else. */
  written(path: KeyPath): string | undefined {
    const node = this.#node(path);
    return isScalar(node) ? this.#written.get(node) : undefined;
  }

  /** What variables gave below `path` and may be a secret (config-secrets.ts). */
  secretsBelow(path: KeyPath): string[] {
    const below = showPath(path);
    return [...this.#given].flatMap(([scalar, given]) => {
      const at = this.#pathOf(scalar);
      if (showPath(at.slice(0, path.length)) !== below) return [];
      const text = String(scalar.value);
      return given.flatMap(({ value, isFile }) => secretsIn(at, { text, value, isFile }));
    });
  }

  #add(path: KeyPath, offset: number, message: string): void {
    this.problems.push({ file: this.file, ...this.#at(offset), key: showPath(path), message });
  }

  #at(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  #valueIfSound(): unknown {
    return this.isSound ? this.#document.toJS() : undefined;
  }

  #node(path: KeyPath): Node | undefined {
    let node: unknown = this.#document.contents;
    for (const key of path) {
      node = this.#resolved(node);
      if (isMap(node) || isSeq(node)) node = node.get(typeof key === 'symbol' ? key.toString() : key, true);
      else return undefined;
    }
    return this.#resolved(node);
  }

  #resolved(node: unknown): Node | undefined {
    return (isAlias(node) ? node.resolve(this.#document) : node) as Node | undefined;
  }

  #offset(path: KeyPath): number {
    for (let length = path.length; length > 0; length--) {
      const node = this.#node(path.slice(0, length));
      // A key without a value has a node without text: the key is what a person sees.
      const isEmpty = isScalar(node) && node.value === null && (node.source ?? '') === '';
      const offset = isEmpty || !node?.range ? this.#keyOffset(path.slice(0, length)) : node.range[0];
      if (offset !== undefined) return offset;
    }
    return this.#document.contents?.range?.[0] ?? 0;
  }

  #keyOffset(path: KeyPath): number | undefined {
    const parent = this.#node(path.slice(0, -1));
    if (!isMap(parent)) return undefined;
    const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1));
    return isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
  }

  async #resolveVariables(env: Readonly<Record<string, string | undefined>>): Promise<void> {
    const scalars: Scalar[] = [];
    visit(this.#document, {
      Scalar: (key, node) => {
        if (key !== 'key' && typeof node.value === 'string' && node.value.includes('${')) scalars.push(node);
      },
    });
    for (const scalar of scalars) {
      const written = String(scalar.value);
      this.#written.set(scalar, written);
      scalar.value = await this.#resolve(scalar, written, env);
    }
  }

  async #resolve(scalar: Scalar, written: string, env: Readonly<Record<string, string | undefined>>): Promise<string> {
    let resolved = '';
    let at = 0;
    for (const match of written.matchAll(/\$\$\{|\$\{([^}]*)\}?/g)) {
      resolved += written.slice(at, match.index);
      at = match.index + match[0].length;
      if (match[1] === undefined) {
        resolved += '${';
        continue;
      }
      const given = match[0].endsWith('}') ? await this.#variable(match[1], env) : { problem: 'a closing }, got the end of the text' };
      if (given.value === undefined) this.#unresolved(scalar, match[0], given.problem);
      else this.#given.set(scalar, [...(this.#given.get(scalar) ?? []), { value: given.value, isFile: match[1].startsWith('file:') }]);
      resolved += given.value ?? '';
    }
    return resolved + written.slice(at);
  }

  async #variable(name: string, env: Readonly<Record<string, string | undefined>>): Promise<{ value?: string; problem: string }> {
    if (name.startsWith('file:')) return readSecret(resolve(dirname(this.file), name.slice('file:'.length)));
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return { problem: 'the name of an environment variable or file:/path between ${ and }' };
    const value = env[name];
    return value === undefined ? { problem: `an environment variable that is set, ${name} is not` } : { value, problem: '' };
  }

  #unresolved(scalar: Scalar, variable: string, expected: string): void {
    this.#unset.add(scalar);
    const path = this.#pathOf(scalar);
    const offset = scalar.range?.[0] ?? 0;
    this.#add(path, offset, `${showPath(path) || 'the config file'}: ${variable} must be ${expected}`);
  }

  #pathOf(scalar: Scalar): KeyPath {
    let found: PropertyKey[] = [];
    visit(this.#document, {
      Scalar: (key, node, ancestors) => {
        if (node !== scalar) return undefined;
        const last = typeof key === 'number' ? [key] : [];
        found = [...ancestors.flatMap((ancestor, depth) => keyOf(ancestor, ancestors[depth + 1])), ...last];
        return visit.BREAK;
      },
    });
    return found;
  }
}

/** `writers[0].batch.interval`. */
export function showPath(path: KeyPath): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += (text === '' ? '' : '.') + String(key);
  }
  return text;
}

/** The key of a pair, or the index of a list's item, on the way to a node. */
function keyOf(ancestor: unknown, next: unknown): PropertyKey[] {
  if (isSeq(ancestor) && next !== undefined) return [ancestor.items.indexOf(next)];
  if (typeof ancestor === 'object' && ancestor !== null && 'key' in ancestor && isScalar(ancestor.key)) return [String(ancestor.key.value)];
  return [];
}

/** A file's text without the line break that editors leave at its end. */
async function readSecret(path: string): Promise<{ value?: string; problem: string }> {
  try {
    if ((await stat(path)).size > FILE_BYTES_MAX) return { problem: `a file of at most ${FILE_BYTES_MAX} bytes` };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
    return { value: text.replace(/\r?\n$/, ''), problem: '' };
  } catch (error) {
    return { problem: `a readable file in UTF-8, ${asError(error).message}` };
  }
}

function withoutCredentials(url: string): string {
  return url.replace(/\/\/[^/?#]*@/, '//…@').replace(/\?.*$/s, '?…');
}
