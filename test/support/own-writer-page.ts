/** The code of docs/own-writer.md. */
import { readFileSync } from 'node:fs';

const PAGE = readFileSync(new URL('../../docs/own-writer.md', import.meta.url), 'utf8');
const SOURCES: Readonly<Record<string, string>> = {
  'fondaco/writer': new URL('../../core/define-writer.ts', import.meta.url).href,
  'fondaco/testing': new URL('../../testing/index.ts', import.meta.url).href,
  zod: import.meta.resolve('zod'),
};

/** The first block of code behind a file's name. Throws where there is none. */
export function codeBlock(file: string): string {
  const [, code] =
    new RegExp(`\`${file.replaceAll('.', '\\.')}\`[^\`]*(?:\`[^\`\\n]+\`[^\`]*)*\n\`\`\`[a-z]+\n(.*?)\`\`\`\n`, 's').exec(PAGE) ?? [];
  if (code === undefined) throw new Error(`docs/own-writer.md has no code of ${file}`);
  return code;
}

/** With this repository's source in the place of the packages: it is not built. */
export function withoutPackages(code: string): string {
  return code.replaceAll(/(?<= from )'([^.'][^']*)'/g, (whole, name: string) =>
    SOURCES[name] === undefined ? whole : JSON.stringify(SOURCES[name]),
  );
}
