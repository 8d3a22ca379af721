import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FondacoError, isFondacoError } from '../core/errors.ts';
import type { Journal } from '../core/journal.ts';
import { LANES } from '../core/lane.ts';
import { makeDirectory } from '../journal/make-directory.ts';
import { EXIT_FILE, syncDirectory } from './exit-file.ts';
import { identityOf, isThere } from './life-directory.ts';
import { measure, type Life, type LifeParts } from './life.ts';
import { SpoolLane } from './spool.ts';

/** What a journal sets aside of its database, in its directory. */
const EVIDENCE = 'db.corrupt-';
/** Damaged things of a component that are kept; they sort by age. */
const EVIDENCE_MAX = 10;

/**
 * Opens a life's journal, or opens it again: then positions are worth nothing any more, and what is not there is found missing when it is
 * read. What cannot be opened is set aside. Rejects FULL, UNAVAILABLE or CONFIG.
 */
export async function openLife(life: Life, parts: LifeParts): Promise<void> {
  await life.journal?.close().catch(() => undefined); // of a directory that is gone, or damaged
  life.journal = undefined;
  await makeDirectory(dirname(life.directory), 0o700);
  const journal = await openOrSetAside(life.directory, parts);
  for (const lane of LANES) {
    const store = life.stores[lane];
    store.spool = new SpoolLane(journal, lane, store.spool);
    store.unpark();
  }
  await attach(life, journal, parts);
}

/** Makes the journal the life's own. */
export async function attach(life: Life, journal: Journal, { onCommit, onProblem, clock }: LifeParts): Promise<void> {
  const tell = async (): Promise<void> => {
    const problem = await tellSalvage(life.directory, journal, clock.now());
    if (problem) onProblem(problem);
  };
  life.journal = journal;
  life.isBroken = false;
  journal.onCommit(onCommit);
  journal.onReopen(tell);
  await tell();
  life.identity = await identityOf(life.directory);
  await measure(life);
}

/** The journal of a directory; if that is beyond repair, one beside it that is set aside. The exit file stays. */
export async function openOrSetAside(directory: string, { openJournal, onProblem }: LifeParts): Promise<Journal> {
  try {
    return await openJournal(directory);
  } catch (error) {
    if (!isFondacoError(error, 'CORRUPT')) throw error;
    const evidence = await setAside(directory);
    onProblem(new FondacoError('CORRUPT', `${error.text}; it is set aside as ${evidence}`, { cause: error }));
    return openJournal(directory);
  }
}

/** What the journal's opening had to give up, with the place of the evidence: beside the life, which goes when it is drained. */
async function tellSalvage(directory: string, { salvaged }: Journal, now: number): Promise<FondacoError | undefined> {
  if (salvaged.length === 0) return undefined;
  const found = (await readdir(directory)).filter((name) => name.startsWith(EVIDENCE));
  const evidence = `${directory}.${now}.corrupt`;
  if (found.length > 0) await mkdir(evidence, { recursive: true });
  for (const name of found) await rename(join(directory, name), join(evidence, name));
  await limitEvidence(dirname(directory));
  const text = salvaged.join('; ').replaceAll(`${directory}/${EVIDENCE}`, `${evidence}/${EVIDENCE}`);
  return new FondacoError('CORRUPT', `the spool ${directory} must be whole, got damage, which is mended as far as it goes: ${text}`);
}

/** The oldest evidence of a component goes when there is more than a person would look at. */
async function limitEvidence(base: string): Promise<void> {
  const all = (await readdir(base)).filter((name) => name.endsWith('.corrupt')).sort();
  for (const name of all.slice(0, -EVIDENCE_MAX)) await rm(join(base, name), { recursive: true, force: true });
}

async function setAside(directory: string): Promise<string> {
  let evidence = `${directory}.corrupt`;
  for (let n = 2; await isThere(evidence); n++) evidence = `${directory}.${n}.corrupt`;
  await rename(directory, evidence);
  if (await isThere(join(evidence, EXIT_FILE))) {
    await mkdir(directory);
    await rename(join(evidence, EXIT_FILE), join(directory, EXIT_FILE));
  }
  syncDirectory(dirname(directory));
  await limitEvidence(dirname(directory));
  return evidence;
}
