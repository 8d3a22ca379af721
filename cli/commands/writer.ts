import type { Command } from 'commander';
import type { TestFilterFlags } from '../writer-filter.ts';
import { moment, wholeNumber } from './arguments.ts';
import { addNoun, apiOf, defaultVerb, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addWriter(to: Command): void {
  const writer = addNoun(to, 'writer', 'the destinations');
  const list = defaultVerb(writer, 'list').description('each with its state, what waits for it, and what it said last');
  withExamples(withApiAndJson(list), 'fondaco writer list', 'fondaco writers --json').action(async (flags: ApiFlags) => {
    const { listWriters } = await import('../writer.ts');
    await listWriters(apiOf(flags), flags.json === true);
  });
  const pause = writer
    .command('pause')
    .description('deliver nothing more to a writer until it is resumed; everything is kept for it')
    .argument('<name>', 'as in the config');
  withExamples(withApiAndJson(pause), 'fondaco writer pause ops').action(async (name: string, flags: ApiFlags) => {
    const { changeWriter } = await import('../writer.ts');
    await changeWriter('pause', name, apiOf(flags), flags.json === true);
  });
  const resume = writer
    .command('resume')
    .description('go on with a writer that is paused, suspended, refused or retrying, and try at once')
    .argument('<name>', 'as in the config');
  withExamples(withApiAndJson(resume), 'fondaco writer resume ops').action(async (name: string, flags: ApiFlags) => {
    const { changeWriter } = await import('../writer.ts');
    await changeWriter('resume', name, apiOf(flags), flags.json === true);
  });
  const test = writer
    .command('test-filter')
    .description('which of the events of the last hours a filter lets through: of a writer, or one that is given')
    .argument('[name]', 'a writer, as in the config')
    .option('--filter <yaml>', "a filter as in the config: '{ minSeverity: warn, object: { kind: Disk } }'")
    .option('--file <path>', '… in a file of YAML or JSON')
    .option('--since <time>', 'received since then: 2026-11-22T08:00:00Z, or how long ago: 90s, 15m, 2h, 7d (default: 24h)', moment)
    .option('--max <number>', 'entries looked at, the newest first', wholeNumber(1, 10_000_000), 100_000)
    .option('-n, --examples <number>', 'how many of the newest matches are shown', wholeNumber(0, 1000), 10);
  withExamples(
    withApiAndJson(test),
    'fondaco writer test-filter ops',
    'fondaco writer test-filter --filter \'{ types: ["disk.*"], attributes: { used: { min: 0.9 } } }\' --since 7d',
    'fondaco writer test-filter --file filter.yaml --json | jq .byType',
  ).action(async (name: string | undefined, flags: ApiFlags & Omit<TestFilterFlags, 'name' | 'since'> & { since?: string }) => {
    const { testFilter } = await import('../writer-filter.ts');
    await testFilter(apiOf(flags), { ...flags, name, since: flags.since ?? moment('24h') });
  });
}
