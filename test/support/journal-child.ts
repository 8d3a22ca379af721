/**
 * Another opener of a journal, as a process or a worker thread: node --import tsx journal-child.ts <what> <directory>
 *
 *   try     opens, says "open" or the error's message, and ends
 *   hold    opens, says "open", and stays
 *   write   opens, says "open", and commits without end; says "<lane> <position> <text>" of each entry when it is durable, and not before
 */
import { writeSync } from 'node:fs';
import { isMainThread, parentPort } from 'node:worker_threads';
import { systemClock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Journal } from '../../core/journal.ts';
import { LANES } from '../../core/lane.ts';
import { LevelJournal } from '../../journal/level-journal.ts';
import { append } from './journal-entries.ts';

const [what = '', directory = ''] = process.argv.slice(2);

/** Written at once: what is said before a SIGKILL has been said. */
function say(text: string): void {
  if (isMainThread) writeSync(1, `${text}\n`);
  else parentPort?.postMessage(text);
}

async function writeForEver(journal: Journal): Promise<never> {
  for (let round = journal.head('normal'); ; round++) {
    const commits = Array.from({ length: 1 + (round % 3) }, async (_, at) => {
      const lane = LANES[(round + at) % 2]!;
      const texts = Array.from({ length: 1 + ((round * 7 + at) % 40) }, (_, each) => `${process.pid}.${round}.${at}.${each}`);
      const positions = await journal.commit((draft) => {
        const given = append(draft, lane, texts);
        draft.put(`s:${lane}`, () => given.at(-1));
        return given;
      });
      say(texts.map((text, each) => `${lane} ${positions[each]} ${text}`).join('\n'));
    });
    await Promise.all(commits);
  }
}

try {
  const journal = await LevelJournal.open(directory, { clock: systemClock(), stamp: { site: 's' }, holder: `the ${what} child` });
  say('open');
  if (what === 'write') await writeForEver(journal);
  else if (what === 'hold') setInterval(() => {}, 1 << 30);
  else await journal.close();
} catch (error) {
  say(asError(error).message);
}
