import { LevelJournal } from '../../journal/level-journal.ts';
import { journalContract } from '../contract/journal-contract.ts';
import { tempDirectory } from '../support/temp-directory.ts';

journalContract('LevelJournal', async () => {
  const { path, remove } = await tempDirectory();
  return { open: (options) => LevelJournal.open(path, options), remove };
});
