import { MemoryJournal, MemoryStorage } from '../../journal/memory-journal.ts';
import { journalContract } from '../contract/journal-contract.ts';

journalContract('MemoryJournal', async () => {
  const storage = new MemoryStorage();
  return { open: (options) => MemoryJournal.open({ ...options, storage }), remove: async () => undefined };
});
