import type { Command } from 'commander';
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
}
