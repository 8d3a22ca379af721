import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The lines of a file of `../shared/data`, split on \n only; `undefined` where that folder is absent. */
export function sharedLines(file: string): string[] | undefined {
  const path = fileURLToPath(new URL(`../../../shared/data/${file}`, import.meta.url));
  if (!existsSync(path)) return undefined;
  return readFileSync(path, 'utf8').replace(/\n$/, '').split('\n');
}

/** The path of a file of `../shared/data`; `undefined` where there is none. */
export function sharedPath(file: string): string | undefined {
  const path = fileURLToPath(new URL(`../../../shared/data/${file}`, import.meta.url));
  return existsSync(path) ? path : undefined;
}
