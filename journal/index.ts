/** `fondaco/journal`: the durable ordered log that a dispatcher works on. */
export type { Journal } from '../core/journal.ts';
export { openJournal, type OpenJournalOptions } from './open-journal.ts';
