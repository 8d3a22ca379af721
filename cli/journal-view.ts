/** How verbs get at the journal of a stopped proxy. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import type { Journal } from '../core/journal.ts';
import { copyHeads } from '../journal/head-witness.ts';
import { LevelJournal } from '../journal/level-journal.ts';
import { holdsDatabase } from '../journal/level-repair.ts';
import { lockDirectory } from '../journal/directory-lock.ts';
import { linkStore } from '../journal/link-store.ts';
import { configuredData } from '../proxy/config.ts';
import { EXIT, ExitError } from './exit.ts';

const HOLDER = `fondaco journal, process ${process.pid}`;

/** The journal's directory. Rejects with exit code 66 where there is none. */
export async function directoryOf({ data, config }: { readonly data?: string; readonly config?: string }): Promise<string> {
  const from = data ?? (await configuredData(config, { env: process.env, cwd: process.cwd() }));
  const directory = resolve(from, 'journal');
  if (!(await holdsDatabase(join(directory, 'db'))))
    throw new ExitError(EXIT.noInput, `there is no journal in ${directory}: --data names the data directory of a proxy`);
  return directory;
}

/** The store itself, as a proxy opens it; with its witness only for who tells what that finds, for it is found once. */
export function openStore(directory: string, { isWitnessed }: { readonly isWitnessed: boolean }): Promise<Journal> {
  return LevelJournal.open(directory, { clock: systemClock(), stamp: { site: '' }, holder: HOLDER, recentBytes: 0, isWitnessed });
}

/** Uses a view of the store's files, which changes nothing of them. Rejects UNAVAILABLE while a proxy has it. */
export async function onView<T>(directory: string, use: (journal: Journal) => Promise<T>): Promise<T> {
  const view = `${directory}.view-${randomUUID()}`;
  const lock = await lockDirectory(directory, HOLDER).catch((error: unknown) => {
    if (!isFondacoError(error, 'CONFIG')) throw error;
    throw new FondacoError('CONFIG', `${error.text}; what cannot be written to can be copied, and --data names the copy`, { cause: error });
  });
  try {
    await linkStore(directory, view);
    await copyHeads(directory, view);
    const journal = await openStore(view, { isWitnessed: true });
    try {
      return await use(journal);
    } finally {
      await journal.close();
    }
  } finally {
    await rm(view, { recursive: true, force: true });
    await lock.release();
  }
}
