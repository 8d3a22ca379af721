import type { Command } from 'commander';
import { addNoun, withExamples } from './options.ts';

interface ConfigFlags {
  readonly config?: string;
  readonly json?: boolean;
}

export function addConfig(to: Command): void {
  const config = addNoun(to, 'config', 'the config of a proxy');
  const check = config
    .command('check', { isDefault: true })
    .description('check a config as the proxy would, touching nothing; exits 78 if it has problems');
  withExamples(withFile(check), 'fondaco config check', 'fondaco config check ./fondaco.yaml --json').action(
    async (file: string | undefined, flags: ConfigFlags) => {
      const { checkConfigFile } = await import('../config.ts');
      await checkConfigFile(flags.config ?? file, flags.json === true);
    },
  );
  const show = config.command('show').description('the config in effect: defaults filled in, secrets as ***, and from which file it is');
  withExamples(withFile(show), 'fondaco config show', 'fondaco config show --json | jq .config.writers').action(
    async (file: string | undefined, flags: ConfigFlags) => {
      const { showConfig } = await import('../config-show.ts');
      await showConfig(flags.config ?? file, flags.json === true);
    },
  );
  const schema = config
    .command('schema')
    .description('JSON Schema of the config, for editors and generators')
    .addHelpText('after', '\nAn editor takes it from a first line in the config: # yaml-language-server: $schema=./fondaco.schema.json');
  withExamples(schema, 'fondaco config schema > fondaco.schema.json').action(async () => {
    const { printConfigSchema } = await import('../config-schema.ts');
    await printConfigSchema();
  });
}

function withFile(verb: Command): Command {
  return verb
    .option('-c, --config <file>', 'the config; found like that of fondaco proxy')
    .option('--json', 'as JSON')
    .argument('[file]', 'the same as --config');
}
