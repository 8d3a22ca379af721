#!/usr/bin/env node
/** `fondaco <noun> <verb>`: reads the command line, runs the verb, sets the exit code. The tree is program.ts. */
import { existsSync, readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { EXIT, fail } from './exit.ts';
import { buildProgram } from './program.ts';

await main();

async function main(): Promise<void> {
  // A reader that has seen enough, such as head: no reason for a stack. A console writer notices by itself.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') fail(error);
  });
  try {
    await buildProgram(readVersion()).parseAsync();
  } catch (error) {
    // commander has said it all; help and version end with 0.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    else fail(error);
  }
}

/** Of the package: one folder up in the source, two in dist/. */
function readVersion(): string {
  const file = ['../package.json', '../../package.json'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url));
  return file === undefined ? 'unknown' : (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
