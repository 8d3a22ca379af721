import type { Command } from 'commander';
import { withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addDoctor(to: Command, version: string): void {
  const doctor = to
    .command('doctor')
    .description('look at config, disk, clock, ports and the proxy, running or not, and say what to do; exits 1 if something fails')
    .option('-c, --config <file>', 'the config; found like that of fondaco proxy');
  withExamples(
    withApiAndJson(doctor).addHelpText(
      'after',
      '\nIt writes 20 times 4 KiB into a file of its own in the data directory and removes it; it changes nothing else.',
    ),
    'fondaco doctor',
    'fondaco doctor --config /etc/fondaco/fondaco.yaml --json',
  ).action(async (flags: ApiFlags & { config?: string }) => {
    const { runDoctor } = await import('../doctor.ts');
    await runDoctor(flags, version);
  });
}
