import type { Command } from 'commander';
import { addNoun, withExamples } from './options.ts';

const DEFAULT = 'then FONDACO_SPOOL_DIR, $STATE_DIRECTORY/spool, $XDG_STATE_HOME/fondaco/spool';

export function addSpool(to: Command): void {
  const spool = addNoun(to, 'spool', "what recorders keep on this machine's disk while no proxy takes it");
  const list = spool
    .command('list', { isDefault: true })
    .description('per component and life: who has it open, the events that wait, bytes, the oldest')
    .argument('[directory]', `the spool directory; ${DEFAULT}`)
    .option('--json', 'as JSON');
  withExamples(list, 'fondaco spool', 'fondaco spool list /var/lib/agent/spool --json').action(
    async (directory: string | undefined, flags: { json?: boolean }) => {
      const { listSpool } = await import('../spool.ts');
      await listSpool(directory, flags.json === true);
    },
  );
  const check = spool
    .command('check')
    .description('read every event of stopped lives, change nothing, and name what is damaged; exits 1 if anything is')
    .option('--json', 'as JSON');
  withLives(check);
  withExamples(check, 'fondaco spool check', 'fondaco spool check 0199e0c4-4f3a-7cc1-9d0e-5a1f0c2b7e11').action(
    async (what: string | undefined, flags: { spool?: string; json?: boolean }) => {
      const { checkSpool } = await import('../spool.ts');
      await checkSpool(what, flags);
    },
  );
  const repair = spool
    .command('repair')
    .description('put stopped lives right where they are, set the evidence aside, and declare lost what is missing')
    .option('--json', 'as JSON')
    .option('-y, --yes', 'do not ask');
  withLives(repair);
  withExamples(repair, 'fondaco spool repair --yes', 'fondaco spool repair 0199e0c4-4f3a-7cc1-9d0e-5a1f0c2b7e11').action(
    async (what: string | undefined, flags: { spool?: string; json?: boolean; yes?: boolean }) => {
      const { repairSpool } = await import('../spool.ts');
      await repairSpool(what, flags);
    },
  );
  const out = spool
    .command('export')
    .description('write the events that wait as NDJSON, as fondaco record --file takes it; they stay in the spool')
    .option('-o, --out <file>', 'a new file (default: stdout)');
  withLives(out);
  withExamples(
    out,
    'fondaco spool export 0199e0c4-4f3a-7cc1-9d0e-5a1f0c2b7e11 --out events.ndjson',
    'fondaco record --file events.ndjson',
  ).action(async (what: string | undefined, flags: { spool?: string; out?: string }) => {
    const { exportSpool } = await import('../spool.ts');
    await exportSpool(what, flags);
  });
}

/** Which lives. */
function withLives(verb: Command): Command {
  return verb
    .argument(
      '[life|component|directory]',
      'a life or all of a component, as in the list; or all below a directory (default: all that there are)',
    )
    .option('--spool <directory>', `the spool directory; ${DEFAULT}`);
}
