import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a directory and those above it that are missing, durably; also the name of one that is there is made durable, because whoever made it
 * may have been killed in between. Rejects with the system's error. Node's own `recursive` takes a full disk and a read-only one for a
 * missing parent, and where the system says that of a parent that is there (below /proc, say), it tries for ever.
 */
export async function makeDirectory(directory: string, mode?: number): Promise<void> {
  const make = (): Promise<unknown> => mkdir(directory, mode).catch(orThere);
  const orThere = async (error: unknown): Promise<void> => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !(await stat(directory)).isDirectory()) throw error;
  };
  const above = dirname(directory);
  try {
    await make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === directory || (await isThere(above))) throw error;
    await makeDirectory(above, mode);
    await make();
  }
  await syncDirectory(above);
}

/** EACCES: a directory that we may write to and not read; the others: a system or a file system that cannot sync one. */
const UNSYNCABLE = ['EACCES', 'EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM'];

/** Makes the names in a directory durable, as far as the system lets us. A sync of a file promises nothing about its name (fsync(2)). */
export async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!UNSYNCABLE.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
