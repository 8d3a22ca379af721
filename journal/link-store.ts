/**
 * A view of a closed store: its files linked into another directory, so that reading there changes nothing here. LevelDB never writes into a
 * file that it has finished; what it deletes there is a link.
 */
import { copyFile, link, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Links the database of a store, and further files beside it where they are there. To be called under the store's lock. */
export async function linkStore(from: string, to: string, beside: readonly string[] = []): Promise<void> {
  await mkdir(join(to, 'db'), { recursive: true, mode: 0o700 });
  const files = [...beside, ...(await readdir(join(from, 'db')).catch(() => [])).map((name) => join('db', name))];
  for (const file of files) {
    if (/LO(CK|G|G\.old)$/.test(file)) continue;
    await link(join(from, file), join(to, file)).catch(async (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') await copyFile(join(from, file), join(to, file));
    });
  }
}
