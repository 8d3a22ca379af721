import type { Command } from 'commander';
import { apiOf, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

const MEANING = `
It exits 1 for what needs somebody now: nothing is taken in, a writer does not deliver or has dead letters, the books do not
balance, or something was lost in the last 24 hours. Older losses, and dead letters that were purged on purpose, are counted
on the screen and are no fault.

  rejected  events of recorders with a mistake in them; in the ledger
  refused   events sent over HTTP with a mistake in them; their caller was told, no book has them
  lost      what recorders or the journal lost before it could be an entry
  dropped   entries that a writer will never get: beyond its backlog, too old, damaged, or purged`;

export function addStatus(to: Command): void {
  const status = to
    .command('status')
    .description('how the proxy is doing, and what to do about it; exits 1 if anything is stuck or was lost lately')
    .option('-w, --watch', 'again and again, until Ctrl-C');
  withExamples(
    withApiAndJson(status).addHelpText('after', MEANING),
    'fondaco status',
    'fondaco status --watch',
    'fondaco status --json | jq .problems',
  ).action(async (flags: ApiFlags & { watch?: boolean }, command: Command) => {
    if (flags.watch === true && flags.json === true) command.error('error: --watch and --json exclude each other');
    const { showStatus, watchStatus } = await import('../status.ts');
    if (flags.watch === true) await watchStatus(apiOf(flags));
    else await showStatus(apiOf(flags), flags.json === true);
  });
}
