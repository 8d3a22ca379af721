// Loaded before a program (node --import): the last line on its stderr says which modules it has loaded.
import { writeSync } from 'node:fs';
import { watchModules } from './module-watch.mjs';

const { look } = watchModules();
process.once('exit', () => writeSync(2, `\n${JSON.stringify(look())}\n`));
