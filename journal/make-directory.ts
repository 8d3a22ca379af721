import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a directory and those above it that are missing. Rejects with the system's error. Node's own `recursive` takes a full disk and a
 * read-only one for a missing parent, and where the system says that of a parent that is there (below /proc, say), it tries for ever.
 */
export async function makeDirectory(directory: string, mode?: number): Promise<void> {
  const make = (): Promise<unknown> => mkdir(directory, mode).catch(orThere);
  const orThere = async (error: unknown): Promise<void> => {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !(await stat(directory)).isDirectory()) throw error;
  };
  try {
    await make();
  } catch (error) {
    const above = dirname(directory);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === directory || (await isThere(above))) throw error;
    await makeDirectory(above, mode);
    await make();
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
