import { basename } from 'node:path';

/** How to run npm with these arguments: the npm that runs this script, if one does, because another on the path may be another version. */
export function npm(args) {
  const running = process.env.npm_execpath;
  if (running !== undefined && basename(running) === 'npm-cli.js') return { command: process.execPath, args: [running, ...args] };
  return { command: 'npm', args };
}
