import { Option, type Command } from 'commander';
import type { OutageListFlags } from '../outage.ts';
import { wholeNumber } from './arguments.ts';
import { addNoun, defaultVerb, withApiAndJson, withExamples } from './options.ts';

const HELP = `
An outage lasts from the first attempt that failed until something is delivered again; those of more than a minute are kept, the last
100 of each writer. What waited, was folded and is to come is in deliveries, what was lost in entries of the journal; "to come" is
what was left when the writer was back, and how long that was to take.`;

export function addOutage(to: Command): void {
  const outage = addNoun(to, 'outage', 'when destinations were away for more than a minute, and what that cost');
  const list = defaultVerb(outage, 'list')
    .description('those under way, then the latest')
    .option('-w, --writer <name>', 'of one writer')
    .addOption(new Option('-n, --limit <count>', 'so many at most').argParser(wholeNumber(1, 1000)).default(20))
    .addOption(new Option('-d, --data <directory>', 'the data directory of a proxy that is stopped').conflicts('api'))
    .addHelpText('after', HELP);
  withExamples(
    withApiAndJson(list),
    'fondaco outage list',
    'fondaco outage list --writer ops --json',
    'fondaco outage list --data /var/lib/fondaco',
  ).action(async (flags: OutageListFlags) => {
    const { listOutages } = await import('../outage.ts');
    await listOutages(flags);
  });
}
