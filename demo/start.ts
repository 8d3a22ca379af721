/**
 * `npm start`: three real processes on this machine, started, kept running and ended in order.
 *
 *     agent (agent.ts) ──gRPC──▶ proxy (fondaco proxy, LevelDB) ──HTTP──▶ subscriber (subscriber.ts)
 *
 * Everything can be killed; what is killed is started again, and nothing is missing. Ctrl-C ends it and prints the ledger.
 */
import { fileURLToPath } from 'node:url';
import { systemClock } from '../core/clock.ts';
import { asError, isFondacoError } from '../core/errors.ts';
import { onInterrupt } from './interrupt.ts';
import { runSite } from './site.ts';
import { readSettings, takeFolders } from './start-settings.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

async function main(): Promise<void> {
  // npm runs a script in the package's folder, and says where the person was.
  const settings = readSettings(process.argv.slice(2), process.env.INIT_CWD ?? process.cwd());
  const folders = await takeFolders(settings, ROOT);
  const stop = new AbortController();
  const kill = new AbortController();
  const clock = systemClock();
  const interrupt = onInterrupt(clock, {
    first: () => stop.abort(),
    again: () => {
      kill.abort();
      process.exit(130); // what was acknowledged is on disk, as after any kill
    },
  });
  process.stdout.on('error', () => stop.abort()); // nobody looks any more
  const parts = { clock, random: Math.random, say: (line: string) => void process.stdout.write(`${line}\n`) };
  const isWell = await runSite({ settings, folders }, parts, { stop: stop.signal, kill: kill.signal });
  await folders.lock.release();
  await interrupt.settled();
  if (!isWell) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(`npm start: ${isFondacoError(error) ? error.text : asError(error).message}`);
  process.exitCode = 1;
});
