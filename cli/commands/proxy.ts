import type { Command } from 'commander';

export function addProxy(to: Command, version: string): void {
  to.command('proxy')
    .description('run a proxy, until SIGTERM or SIGINT')
    .option('-c, --config <file>', 'the config; then FONDACO_CONFIG, ./fondaco.yaml, /etc/fondaco/fondaco.yaml, else a default')
    .addHelpText(
      'after',
      `
Without a config it takes events on 127.0.0.1:7070 (gRPC), answers on 127.0.0.1:7071 (HTTP), keeps its journal in ./data
and shows events on stdout. Its log is JSON on stderr, from level FONDACO_LOG_LEVEL (info) on.

Examples:
  fondaco proxy
  fondaco proxy --config /etc/fondaco/fondaco.yaml`,
    )
    .action(async (options: { config?: string }) => {
      const { startProxy } = await import('../proxy.ts');
      await startProxy(options.config, version);
    });
}
