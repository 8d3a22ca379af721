import type { Command } from 'commander';
import type { ExportFlags } from '../dead-letter-export.ts';
import type { PurgeFlags } from '../dead-letter-purge.ts';
import type { ReplayFlags } from '../dead-letter-replay.ts';
import { wholeNumber } from './arguments.ts';
import { addNoun, apiOf, withApi, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addDeadLetter(to: Command): void {
  const noun = addNoun(to, 'dead-letter', 'events that a writer could not deliver, kept with the reason');
  addList(noun);
  addShow(noun);
  addReplay(noun);
  addExport(noun);
  addPurge(noun);
}

function addList(noun: Command): void {
  const list = noun
    .command('list', { isDefault: true })
    .description('by writer and lane, each from the oldest on, with the reason; and the replays that are under way')
    .argument('[writer]', 'only those of this writer')
    .option('-n, --limit <number>', 'how many, 1 to 1000', wholeNumber(1, 1000), 50)
    .option('--after <id>', 'those behind this one: where the page before ended');
  withExamples(
    withApiAndJson(list),
    'fondaco dead-letter list',
    'fondaco dead-letter list ops --limit 1000',
    'fondaco dead-letter list ops --json | jq -r .deadLetters[].id',
  ).action(async (writer: string | undefined, flags: ApiFlags & { limit: number; after?: string }) => {
    const { listDeadLetters } = await import('../dead-letter.ts');
    await listDeadLetters(apiOf(flags), { ...flags, ...(writer !== undefined && { writer }) });
  });
}

function addShow(noun: Command): void {
  const show = noun
    .command('show')
    .description('a dead letter: the whole event, the reason, and what the destination answered')
    .argument('<id>', 'writer/lane/position, as in the list');
  withExamples(withApiAndJson(show), 'fondaco dead-letter show ops/normal/17').action(async (id: string, flags: ApiFlags) => {
    const { showDeadLetter } = await import('../dead-letter.ts');
    await showDeadLetter(id, apiOf(flags), flags.json === true);
  });
}

function addReplay(noun: Command): void {
  const replay = withChoice(noun.command('replay'))
    .description('deliver dead letters again, and wait for it; exits 1 if some died again')
    .option('--detach', 'do not wait');
  withExamples(
    withApiAndJson(replay),
    'fondaco dead-letter replay ops/normal/17 ops/normal/18',
    'fondaco dead-letter replay --all ops',
    'fondaco dead-letter replay ops --filter \'{ types: ["disk.*"] }\'',
  ).action(async (given: string[], flags: ApiFlags & ReplayFlags) => {
    const { replayDeadLetters } = await import('../dead-letter-replay.ts');
    await replayDeadLetters(apiOf(flags), given, flags);
  });
}

function addExport(noun: Command): void {
  const out = noun
    .command('export')
    .description('dead letters as NDJSON, whole, with reason, answer, attempts and times; they stay where they are')
    .argument('[writer]', 'only those of this writer')
    .option('--filter <yaml>', "those that a filter as in the config lets through: '{ object: { kind: Disk } }'")
    .option('--file <path>', '… in a file of YAML or JSON')
    .option('-o, --out <file>', 'a new file; else to stdout');
  withExamples(withApi(out), 'fondaco dead-letter export ops --out ops-dead.ndjson', 'fondaco dead-letter export | jq -c .event').action(
    async (writer: string | undefined, flags: ApiFlags & Omit<ExportFlags, 'writer'>) => {
      const { exportDeadLetters } = await import('../dead-letter-export.ts');
      await exportDeadLetters(apiOf(flags), { ...flags, ...(writer !== undefined && { writer }) });
    },
  );
}

function addPurge(noun: Command): void {
  const purge = withChoice(noun.command('purge'))
    .description('destroy dead letters, after asking: they will never be delivered, and count as dropped')
    .option('-y, --yes', 'do not ask');
  withExamples(withApiAndJson(purge), 'fondaco dead-letter purge ops/normal/17', 'fondaco dead-letter purge --all ops --yes').action(
    async (given: string[], flags: ApiFlags & PurgeFlags) => {
      const { purgeDeadLetters } = await import('../dead-letter-purge.ts');
      await purgeDeadLetters(apiOf(flags), given, flags);
    },
  );
}

/** Which dead letters: by their ids, or all of writers. */
function withChoice(verb: Command): Command {
  return verb
    .argument('[ids...]', 'writer/lane/position, as in the list; with --all or a filter names of writers')
    .option('--all', 'all that there are now: of the writers named, or of every writer')
    .option('--filter <yaml>', "those that a filter as in the config lets through: '{ object: { kind: Disk } }'")
    .option('--file <path>', '… in a file of YAML or JSON');
}
