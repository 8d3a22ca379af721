/**
 * The directories of lives, as names and files:
 *
 *     <spool directory>/<component>/<uuid>/          the life: made at the first spill, or with an exit file
 *                                  /db, holder       the journal and its lock's name tag (journal/)
 *                                  /exit             what memory held when the process ended
 *                       /.<uuid>.tmp, .<uuid>.gone   being made, being deleted: never adopted
 *                       /<uuid>.corrupt              set aside
 *                       /.view-<uuid>                a view of a life for people (stopped-life.ts)
 *
 * What a crash left half done is finished when they are listed.
 */
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { uuidV7Ms } from '../core/uuid.ts';

/** Writing an exit file takes milliseconds; one that is this old has no writer any more. */
const ABANDONED_MS = 60_000;
/** A view of a life for people (stopped-life.ts); one that is so old has no reader any more. */
export const VIEW = '.view-';
const VIEW_ABANDONED_MS = 24 * 60 * 60 * 1000;
/** The room that the journal keeps for bad days: not what events take. */
const RESERVE = 'reserve';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The names of the lives below a component's directory, oldest first. Finishes what a crash left half done: a deletion, and an exit file
 * that was written but not yet given its name.
 */
export async function listLives(base: string, now: number): Promise<string[]> {
  const names: string[] = await readdir(base).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) {
    if (name.startsWith(VIEW)) await removeAbandoned(join(base, name), now);
    const [, id = '', state] = /^\.(.+)\.(gone|tmp)$/.exec(name) ?? [];
    if (!UUID.test(id)) continue;
    if (state === 'gone') await rm(join(base, name), { recursive: true, force: true });
    else if (await giveName(base, id, now)) names.push(id);
  }
  return names.filter((name) => UUID.test(name)).sort();
}

/** When a new life is born, in ms: now, but behind all that are there, whose events go first. The clock may have been set back since theirs. */
export async function birthOfNext(base: string, now: number): Promise<number> {
  const newest = (await listLives(base, now).catch(() => [])).at(-1); // what cannot be listed is told when they are looked for
  return newest === undefined ? now : Math.max(now, uuidV7Ms(newest) + 1);
}

/** What a killed `fondaco spool` left holds the room of files that are gone otherwise. */
async function removeAbandoned(view: string, now: number): Promise<void> {
  const { mtimeMs } = await stat(view).catch(() => ({ mtimeMs: now }));
  if (now - mtimeMs > VIEW_ABANDONED_MS) await rm(view, { recursive: true, force: true });
}

async function giveName(base: string, id: string, now: number): Promise<boolean> {
  const unnamed = join(base, `.${id}.tmp`);
  try {
    if (now - (await stat(unnamed)).mtimeMs <= ABANDONED_MS) return false;
    await rename(unnamed, join(base, id));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false; // its writer, or another recorder, was quicker
    throw error;
  }
}

/** How the identity of a directory begins that is not there. */
export const NO_DIRECTORY = '-';

/** What a life's directory is on disk: another text once somebody removed it, or its store, whether or not there is one in its place. */
export async function identityOf(directory: string): Promise<string> {
  const inodes: string[] = [];
  for (const path of [directory, join(directory, 'db')]) {
    inodes.push(
      await stat(path, { bigint: true }).then(
        ({ ino }) => `${ino}`,
        () => NO_DIRECTORY,
      ),
    );
  }
  return `${inodes.join('/')}/${await isThere(join(directory, 'db', 'CURRENT'))}`;
}

/** The sizes of the files below a directory, in bytes. */
export async function directoryBytes(directory: string): Promise<number> {
  let bytes = 0;
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile() || entry.name === RESERVE) continue;
    // LevelDB deletes files of its own accord.
    bytes += await stat(join(entry.parentPath, entry.name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return bytes;
}

/** True if there is something of that name. */
export function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
