import type { Journal } from '../core/journal.ts';
import { DiskJournal, type JournalOptions } from './disk-journal.ts';
import { MemoryStorage } from './memory-disk.ts';

export { MemoryStorage, type WriteFate } from './memory-disk.ts';

/** The journal on a simulated disk: the same code above it, so that it keeps the same contract. For tests. */
export const MemoryJournal = {
  /** `storage` outlives the journal: open another one on it to see what a restart would find. */
  async open(options: JournalOptions & { readonly storage?: MemoryStorage }): Promise<Journal> {
    const storage = options.storage ?? new MemoryStorage();
    return DiskJournal.open(() => storage.open(), options);
  },
};
