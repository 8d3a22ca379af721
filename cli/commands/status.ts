import type { Command } from 'commander';
import { apiOf, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addStatus(to: Command): void {
  const status = to.command('status').description('how the proxy is doing; exits 1 if anything is stuck or lost');
  withExamples(withApiAndJson(status), 'fondaco status', 'fondaco status --json | jq .writers').action(async (flags: ApiFlags) => {
    const { showStatus } = await import('../status.ts');
    await showStatus(apiOf(flags), flags.json === true);
  });
}
