import type { Command } from 'commander';
import { addNoun, withExamples } from './options.ts';

export function addConfig(to: Command): void {
  const config = addNoun(to, 'config', 'the config of a proxy');
  const check = config
    .command('check', { isDefault: true })
    .description('check a config as the proxy would, touching nothing; exits 78 if it has problems')
    .option('-c, --config <file>', 'the config; found like that of fondaco proxy')
    .option('--json', 'as JSON')
    .argument('[file]', 'the same as --config');
  withExamples(check, 'fondaco config check', 'fondaco config check ./fondaco.yaml --json').action(
    async (file: string | undefined, flags: { config?: string; json?: boolean }) => {
      const { checkConfigFile } = await import('../config.ts');
      await checkConfigFile(flags.config ?? file, flags.json === true);
    },
  );
}
