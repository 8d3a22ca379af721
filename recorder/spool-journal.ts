import type { Clock } from '../core/clock.ts';
import type { Journal } from '../core/journal.ts';
import { COMMIT_BYTES_MAX } from './spiller.ts';
import type { OpenJournal } from './life.ts';
import type { RecorderSettings } from './options.ts';

/** Small, because an agent opens a spool in every outage, and the reserve is written then: what LevelDB has to write anew when it opens. */
const SPOOL_BUFFER_BYTES = 1024 * 1024;
const SPOOL_RESERVE_BYTES = 2 * (SPOOL_BUFFER_BYTES + COMMIT_BYTES_MAX);

/** LevelDB is loaded at the first spill, not before: most agents never need it. */
export function openLevelJournal(clock: Clock, { component }: RecorderSettings): OpenJournal {
  return async (directory): Promise<Journal> => {
    const { LevelJournal } = await import('../journal/level-journal.ts');
    const holder = `recorder ${component}, process ${process.pid}`;
    return LevelJournal.open(directory, {
      clock,
      stamp: { site: '' },
      holder,
      writeBufferBytes: SPOOL_BUFFER_BYTES,
      reserveBytes: SPOOL_RESERVE_BYTES,
      recentBytes: 0,
      isWitnessed: true,
    });
  };
}
