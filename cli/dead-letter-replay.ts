import { setTimeout as wait } from 'node:timers/promises';
import { isFondacoError } from '../core/errors.ts';
import { visible } from '../writers/console-line.ts';
import { askProxy, type Api } from './api.ts';
import { choose, errorText, tellMissing, type Choice, type ChosenLetters, type ReplayView } from './dead-letter-view.ts';
import { replayLine } from './dead-letter.ts';
import { EXIT, ExitError } from './exit.ts';
import { openProgress } from './progress.ts';
import { print, printJson } from './text.ts';
import { withKnownWriters } from './writer.ts';

const LOOK_MS = 250;

export interface ReplayFlags extends ChosenLetters {
  readonly detach?: boolean;
}

/**
 * Has dead letters delivered again, writer by writer, and waits for it unless `detach`; the proxy goes on when nobody waits. Exits 1 if some died
 * again or a replay stopped. Rejects with exit code 64 for what names nothing, 69 if a replay of the writer is under way.
 */
export async function replayDeadLetters(api: Api, given: readonly string[], flags: ReplayFlags): Promise<void> {
  const { detach, json } = flags;
  const choices = await choose(api, given, flags);
  const replays: ReplayView[] = [];
  for (const choice of choices) {
    const started = await startReplay(api, choice);
    if (!started) continue; // the filter matches none
    const isWaitedFor = detach !== true && started.state !== 'done';
    if (isWaitedFor) process.stderr.write(`${replayLine(started)} (Ctrl-C leaves it to the proxy)\n`);
    const replay = isWaitedFor ? await watchReplay(api, started) : started;
    replays.push(replay);
    if (json !== true) print(replayLine(replay));
  }
  if (json === true) printJson({ replays });
  else if (replays.length === 0) print(choices.length === 0 ? 'no dead letters' : 'no dead letter matches');
  const isAnyLeft = replays.some(({ deadAgain, state }) => deadAgain > 0 || state === 'stopped');
  if (isAnyLeft) process.exitCode = EXIT.attention;
}

async function startReplay(api: Api, { writer, ids, filter }: Choice): Promise<ReplayView | undefined> {
  const body = { writer, ...(ids && { ids }), ...(filter && { filter }) };
  const { replay, missing } = await withKnownWriters(api, writer, async () =>
    askProxy<{ replay?: ReplayView; missing?: string[] }>(api, '/v1/dead-letters/replay', { method: 'POST', body }),
  );
  tellMissing(missing);
  return replay;
}

/** Resolves when it is done or stopped. A proxy that is away for a while is asked again. */
async function watchReplay(api: Api, started: ReplayView): Promise<ReplayView> {
  const bar = await openProgress('replaying', started.total);
  let told = '';
  const tell = (text: string): void => {
    if (text !== told) bar.above(() => process.stderr.write(`fondaco: ${text}\n`));
    told = text;
  };
  try {
    for (;;) {
      const replay = await findReplay(api, started, tell);
      if (replay) bar.update(replay.delivered + replay.deadAgain);
      if (replay?.state === 'done' || replay?.state === 'stopped') return replay;
      if (replay?.state === 'waiting')
        tell(`${visible(replay.writer)} takes nothing at the moment, waiting: ${errorText(replay.lastError)}`);
      await wait(LOOK_MS);
    }
  } finally {
    bar.stop();
  }
}

async function findReplay(api: Api, { startedAt, writer }: ReplayView, tell: (text: string) => void): Promise<ReplayView | undefined> {
  try {
    const { replays } = await askProxy<{ replays: ReplayView[] }>(api, '/v1/replays', { needs: ['replays'] });
    const found = replays.find((replay) => replay.writer === writer && replay.startedAt === startedAt);
    if (found) return found;
  } catch (error) {
    if (!isFondacoError(error, 'UNAVAILABLE')) throw error;
    tell(`${error.text.split('\n')[0] ?? ''}; the replay goes on when it is back`);
    return undefined;
  }
  throw new ExitError(
    EXIT.unavailable,
    `the proxy no longer knows this replay; fondaco dead-letter list ${visible(writer)} shows what is left`,
  );
}
