import { existsSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** How to run npm with these arguments on this Node: its program is JavaScript, found where `npm` leads to. */
export function npm(node: string, args: readonly string[]): { command: string; args: string[] } {
  const found = (process.env.PATH ?? '').split(delimiter).find((folder) => existsSync(join(folder, 'npm')));
  if (found === undefined) throw new Error('npm must be on PATH');
  return { command: node, args: [realpathSync(join(found, 'npm')), ...args] };
}
