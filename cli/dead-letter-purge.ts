import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { confirm } from './confirm.ts';
import { choose, tellMissing, type Choice, type ChosenLetters } from './dead-letter-view.ts';
import { EXIT } from './exit.ts';
import { plural, print, printJson } from './text.ts';
import { withKnownWriters } from './writer.ts';

export interface PurgeFlags extends ChosenLetters {
  readonly yes?: boolean;
}

/** Destroys dead letters, after asking. Rejects with exit code 64 for what names nothing, and for no answer where there is no terminal. */
export async function purgeDeadLetters(api: Api, given: readonly string[], flags: PurgeFlags): Promise<void> {
  const { yes, json } = flags;
  const choices = await choose(api, given, flags);
  const isSure = choices.length === 0 || yes === true || (await confirm(whatIsDestroyed(choices)));
  if (!isSure) {
    print('nothing was destroyed');
    return;
  }
  const purged = [];
  for (const { writer, ids, filter } of choices) {
    const body = { writer, ...(ids && { ids }), ...(filter && { filter }) };
    const answer = await withKnownWriters(api, writer, async () =>
      askProxy<{ purged: number; missing?: string[] }>(api, '/v1/dead-letters/purge', { method: 'POST', body }),
    );
    tellMissing(answer.missing);
    if (answer.missing && answer.missing.length > 0) process.exitCode = EXIT.usage;
    purged.push({ writer, purged: answer.purged });
    if (json !== true) print(`purged ${plural(answer.purged, 'dead letter')} of ${visible(writer)}`);
  }
  if (json === true) printJson({ purged });
  else if (choices.length === 0) print('no dead letters');
}

/** `This destroys 12 dead letters of ops …`. */
export function whatIsDestroyed(choices: readonly Choice[]): string {
  const parts = choices.map(({ writer, ids, filter, count }) => {
    const which = filter ? 'what the filter matches of ' : ids ? '' : 'all ';
    return `${which}${plural(count, 'dead letter')} of ${visible(writer)}`;
  });
  return `This destroys ${parts.join(' and ')}: they will never be delivered, and the ledger counts them as dropped.`;
}
