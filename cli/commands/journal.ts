import { Option, type Command } from 'commander';
import type { JournalFlags } from '../journal.ts';
import { addNoun, defaultVerb, withExamples } from './options.ts';

const EXPORT = `
A line is an event as fondaco event show --json has it, with its place in the journal: for looking into it, and for other
programs. --for-record is for recording them once more, at a proxy that never had them: summaries and the proxy's own events
are left out, recurrences come one by one. They get new ids there; where they were delivered already they come again.`;

export function addJournal(to: Command): void {
  const journal = addNoun(to, 'journal', 'the store of a stopped proxy');
  const check = withData(defaultVerb(journal, 'check'))
    .description('read every entry and row, change nothing, and name what is damaged; exits 1 if anything is')
    .option('--json', 'as JSON');
  withExamples(check, 'fondaco journal check --data /var/lib/fondaco').action(async (flags: JournalFlags) => {
    const { checkJournal } = await import('../journal.ts');
    await checkJournal(flags);
  });
  const repair = withData(journal.command('repair'))
    .description('put right what is damaged, as a starting proxy would, and set the evidence aside')
    .option('--json', 'as JSON')
    .option('-y, --yes', 'do not ask');
  withExamples(repair, 'fondaco journal repair --data /var/lib/fondaco --yes').action(async (flags: JournalFlags) => {
    const { repairJournal } = await import('../journal.ts');
    await repairJournal(flags);
  });
  const out = withData(journal.command('export'))
    .description('write every event that can be read as NDJSON; they stay in the journal')
    .option('-o, --out <file>', 'a new file (default: stdout)')
    .option('--for-record', 'only the events of agents, in the form that fondaco record --file takes')
    .addHelpText('after', EXPORT);
  withExamples(
    out,
    'fondaco journal export --data /var/lib/fondaco --out events.ndjson',
    'fondaco journal export --data /mnt/old/fondaco --for-record --out again.ndjson',
    'fondaco record --file again.ndjson',
  ).action(async (flags: JournalFlags) => {
    const { exportJournal } = await import('../journal.ts');
    await exportJournal(flags);
  });
  const compact = withData(journal.command('compact'))
    .description('give the room of what was trimmed back to the file system')
    .option('--json', 'as JSON');
  withExamples(compact, 'fondaco journal compact --data /var/lib/fondaco').action(async (flags: JournalFlags) => {
    const { compactJournal } = await import('../journal.ts');
    await compactJournal(flags);
  });
}

function withData(verb: Command): Command {
  return verb
    .addOption(new Option('-d, --data <directory>', "the proxy's data directory (default: that of its config)"))
    .option('-c, --config <file>', 'the config; found like that of fondaco proxy');
}
