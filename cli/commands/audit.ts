import { Option, type Command } from 'commander';
import type { AuditFlags } from '../audit.ts';
import { withApiAndJson, withExamples } from './options.ts';

const HELP = `
The record is what a destination has, one delivery or one batch a line: the files of a file writer, or what a webhook logged of
the bodies that it got (json, ndjson, cloudevents, cloudevents-batch). Several files are one record, oldest first. A repeat is
no fault, one with other bytes is. What is missing is a fault unless dead letters explain it; the proxy knows those, and where
each series of numbers ended. Ask it while it runs or with --data when it is stopped; the record has to be read after that, so
a copy from before is to be judged with --no-proxy.`;

export function addAudit(to: Command): void {
  const audit = to
    .command('audit')
    .description("hold a destination's own record against what was delivered; exits 1 if something is missing, changed or out of order")
    .argument('[files...]', 'NDJSON, oldest first (default: stdin)')
    .option('-w, --writer <name>', 'whose record it is (default: of whom it says)')
    .addOption(new Option('-d, --data <directory>', 'the data directory of its proxy, which is stopped').conflicts('api'))
    .option('--no-proxy', 'judge the record alone')
    .option('--pruned', 'what lies before the first line was deleted on purpose, and is not missing')
    .addHelpText('after', HELP);
  withExamples(
    withApiAndJson(audit),
    'fondaco audit /var/log/fondaco/events.ndjson.1 /var/log/fondaco/events.ndjson',
    'fondaco audit --pruned --writer archive events.ndjson --json',
    'ssh subscriber cat webhook.ndjson | fondaco audit --data /var/lib/fondaco',
  ).action(async (files: string[], flags: AuditFlags) => {
    const { audit: run } = await import('../audit.ts');
    await run(files, flags);
  });
}
