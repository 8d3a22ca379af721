import { join } from 'node:path';
import type { Journal } from '../core/journal.ts';
import type { OpenDisk } from './disk.ts';
import { DiskJournal, type JournalOptions } from './disk-journal.ts';
import { calmLevels } from './level-calm.ts';
import { openLevelDisk } from './level-disk.ts';
import { lockDirectory } from './directory-lock.ts';
import { HeadWitness } from './head-witness.ts';
import { openReserve } from './reserve.ts';

/** How a journal on LevelDB is opened. */
export interface LevelJournalOptions extends JournalOptions {
  /** Who opens, for the message that the next one gets: `proxy, process 4711`. */
  readonly holder?: string;
  /** LevelDB's write buffer; 16 MiB, which is worth a third of the rate to a proxy, and too much for an agent. */
  readonly writeBufferBytes?: number;
  /** Room kept for the day on which the disk is full; none by default. Twice the write buffer lets LevelDB reopen in any state. */
  readonly reserveBytes?: number;
  /** Keeps a file beside the database that says how far it goes, to notice where its end is lost; false by default. */
  readonly isWitnessed?: boolean;
}

const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;

/** The journal on LevelDB, in `<directory>/db`, under a lock on the directory. */
export const LevelJournal = {
  /** Rejects UNAVAILABLE if the directory is held by another, CONFIG if it is unusable or holds another format, FULL without room, CORRUPT if no repair helps. */
  async open(directory: string, options: LevelJournalOptions): Promise<Journal> {
    const lock = await lockDirectory(directory, options.holder ?? `process ${process.pid}`);
    try {
      const { writeBufferBytes = WRITE_BUFFER_BYTES, reserveBytes = 0 } = options;
      let isOwn = false;
      const openDisk: OpenDisk = async (isDamaged, isShort) => {
        if (isShort) await calmLevels(join(directory, 'db'), { isOwn });
        const disk = await openLevelDisk(join(directory, 'db'), { writeBufferBytes, isDamaged, clock: options.clock });
        isOwn = true;
        return disk;
      };
      const reserve = reserveBytes > 0 ? await openReserve(directory, reserveBytes) : undefined;
      const journal = await DiskJournal.open(openDisk, { ...options, ...(reserve && { reserve }) });
      const witness = options.isWitnessed === true ? await HeadWitness.open(directory, options.clock) : undefined;
      journal.cut = witness?.cut(journal);
      witness?.follow(journal);
      await lock.putName();
      const closeStore = journal.close.bind(journal);
      const close = async (): Promise<void> => {
        await closeStore();
        await witness?.close(journal);
      };
      let closed: Promise<void> | undefined;
      journal.close = () => (closed ??= close().finally(() => lock.release())); // the lock goes last, whoever asks first
      return journal;
    } catch (error) {
      await lock.release();
      throw error;
    }
  },
};
