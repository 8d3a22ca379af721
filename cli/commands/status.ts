import type { Command } from 'commander';
import { apiOf, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addStatus(to: Command): void {
  const status = to
    .command('status')
    .description('how the proxy is doing, and what to do about it; exits 1 if anything is stuck or lost')
    .option('-w, --watch', 'again and again, until Ctrl-C');
  withExamples(withApiAndJson(status), 'fondaco status', 'fondaco status --watch', 'fondaco status --json | jq .writers').action(
    async (flags: ApiFlags & { watch?: boolean }, command: Command) => {
      if (flags.watch === true && flags.json === true) command.error('error: --watch and --json exclude each other');
      const { showStatus, watchStatus } = await import('../status.ts');
      if (flags.watch === true) await watchStatus(apiOf(flags));
      else await showStatus(apiOf(flags), flags.json === true);
    },
  );
}
