import type { Command } from 'commander';
import type { TailFlags } from '../tail.ts';
import { eventFilters, wholeNumber } from './arguments.ts';
import { apiOf, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addTail(to: Command): void {
  const tail = to.command('tail').description('show events as they come in, until Ctrl-C');
  for (const option of eventFilters) tail.addOption(option);
  tail.option('-n, --last <number>', 'first show the last ones, 1 to 1000', wholeNumber(1, 1000));
  withExamples(
    withApiAndJson(tail),
    'fondaco tail',
    "fondaco tail --last 20 --type 'disk.*' --min-severity warn",
    'fondaco tail --json | jq -c .object',
  ).action(async (flags: ApiFlags & TailFlags) => {
    const { showTail } = await import('../tail.ts');
    await showTail(apiOf(flags), flags);
  });
}
