/**
 * `npm run demo`: the story in one minute. Ends by itself: exit 0 if every claim holds, 1 if one does not or it takes too long, 130 after
 * Ctrl-C.
 *
 *     --quick    the same without the time to read along
 *     --keep     keep the folder with journal, spool and record (it is kept when a claim does not hold, too)
 *     --limit S  seconds in which it must end (120)
 *     --lose N   for the test of the judge: the subscriber acknowledges its Nth event and forgets it
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock, type Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import { onInterrupt } from './interrupt.ts';
import { Stage } from './stage.ts';
import { tellStory } from './story.ts';

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      limit: { type: 'string', default: '120' },
      lose: { type: 'string', default: '0' },
    },
  });
  const clock = systemClock();
  const interrupted = new AbortController();
  const interrupt = onInterrupt(clock, { first: () => interrupted.abort(), again: () => process.exit(130) });
  const late = AbortSignal.timeout(Number(values.limit) * 1000);
  const folder = await mkdtemp(join(tmpdir(), 'fondaco-demo-'));
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const isColored = process.stdout.isTTY && (process.env.NO_COLOR ?? '') === '';

  say('Fondaco in one minute. This process is an agent; it starts a proxy and a subscriber, real processes, and judges');
  say("by the subscriber's own record.");
  const settings = { folder, dedupInterval: values.quick ? '2s' : '10s', lose: Number(values.lose) };
  const started = clock.monotonic();
  let failed: readonly string[];
  try {
    failed = await play(
      settings,
      { eventMs: values.quick ? 2 : 30, isColored },
      { clock, say },
      AbortSignal.any([interrupted.signal, late]),
    );
  } catch (error) {
    failed = [late.aborted ? `it must end within ${values.limit} s` : asError(error).message];
  }
  const seconds = ((clock.monotonic() - started) / 1000).toFixed(0);
  const isInterrupted = interrupted.signal.aborted;
  if (values.keep || (failed.length > 0 && !isInterrupted)) say(`\nJournal, spool and record are in ${folder}`);
  else await rm(folder, { recursive: true, force: true });
  await interrupt.settled();
  if (isInterrupted) return 130;
  if (failed.length === 0) say(`\nEvery claim holds. ${seconds} s.`);
  else say(`\nDOES NOT HOLD, after ${seconds} s:\n${failed.map((text) => `  ✗ ${text}`).join('\n')}`);
  return failed.length === 0 ? 0 : 1;
}

/** Plays the story and resolves with the claims that do not hold. Rejects if it could not be told to its end. Leaves nothing running. */
async function play(
  settings: { folder: string; dedupInterval: string; lose: number },
  pace: { eventMs: number; isColored: boolean },
  { clock, say }: { clock: Clock; say: (line: string) => void },
  signal: AbortSignal,
): Promise<string[]> {
  const stage = await Stage.open(settings, { clock, random: Math.random, say }, signal);
  try {
    await tellStory(stage, pace);
  } finally {
    await stage.close();
  }
  return stage.claims.filter(({ problem }) => problem !== undefined).map(({ text, problem }) => `${text}: ${problem ?? ''}`);
}

process.exitCode = await main();
