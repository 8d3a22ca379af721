import type { Command } from 'commander';
import { addNoun, apiOf, withApiAndJson, withExamples, type ApiFlags } from './options.ts';

export function addWriter(to: Command): void {
  const writer = addNoun(to, 'writer', 'the destinations');
  const resume = writer
    .command('resume')
    .description('go on with a writer that is suspended or refused, and try at once')
    .argument('<name>', 'as in the config');
  withExamples(withApiAndJson(resume), 'fondaco writer resume ops').action(async (name: string, flags: ApiFlags) => {
    const { resumeWriter } = await import('../writer.ts');
    await resumeWriter(name, apiOf(flags), flags.json === true);
  });
}
