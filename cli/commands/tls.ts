import type { Command } from 'commander';
import type { TlsFlags } from '../tls.ts';
import { withExamples } from './options.ts';

export function addTls(to: Command): void {
  const tls = to.command('tls').description('certificates and a token, to reach a proxy from beyond its machine');
  const init = withFiles(tls.command('init'))
    .description("make a site's CA, certificates for its proxy and its agents, and a token, and say who needs which")
    .option('--name <names...>', 'more hosts and addresses by which the proxy is called');
  withExamples(init, 'fondaco tls init', 'fondaco tls init --dir /etc/fondaco/tls --name proxy.plant-7.example,10.0.0.7').action(
    async (flags: TlsFlags) => (await import('../tls.ts')).initTls(flags),
  );
  const server = withFiles(tls.command('server'))
    .description("another certificate for the proxy, from the site's CA, with the names of the one that is there")
    .option('--name <names...>', 'more hosts and addresses by which the proxy is called');
  withExamples(server, 'fondaco tls server --force', 'fondaco tls server --force --name 10.0.0.8').action(async (flags: TlsFlags) =>
    (await import('../tls.ts')).issueServer(flags),
  );
  const agent = withFiles(
    tls.command('agent').argument('<name>', 'whom it is for: agent-NAME.crt and agent-NAME.key are made'),
  ).description("a certificate for one agent or operator, from the site's CA");
  withExamples(agent, 'fondaco tls agent pump-3').action(async (name: string, flags: TlsFlags) =>
    (await import('../tls.ts')).issueAgent(name, flags),
  );
}

function withFiles(verb: Command): Command {
  return verb
    .option('--dir <folder>', 'where the files of the site are', './tls')
    .option('--days <number>', 'how long it is valid (default: 825)')
    .option('--force', 'replace files that are there')
    .option('--json', 'as JSON');
}
