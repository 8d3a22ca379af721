import { closeSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';
import pino, { type Logger } from 'pino';
import { systemClock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import { checkConfig, loadConfig } from '../proxy/config.ts';
import { runProxy } from '../proxy/proxy.ts';

const wasAtTerminal = isatty(0);
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/**
 * Runs a proxy until SIGTERM or SIGINT; a second one ends it at once: what was acknowledged is in the journal. SIGHUP opens files anew and reads the
 * config, which is also watched.
 */
export async function startProxy(file: string | undefined, version: string): Promise<void> {
  const { env } = process;
  const cwd = process.cwd();
  const config = await loadConfig(file, { env, cwd });
  const logger = openLogger(env.FONDACO_LOG_LEVEL);
  const stop = new AbortController();
  const stopped = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
    stop.abort();
  };
  // From the very first moment: a SIGHUP that nobody listens to ends a process.
  const hungUp = (): void => {
    if (!isTerminalGone()) return;
    process.removeAllListeners('SIGHUP');
    process.kill(process.pid, 'SIGHUP');
  };
  process.on('SIGTERM', stopped).on('SIGINT', stopped).on('SIGHUP', hungUp);
  try {
    const source = { check: async () => checkConfig(config.file, { env, cwd }), isWatched: true };
    await runProxy(
      config,
      {
        clock: systemClock(),
        random: Math.random,
        logger,
        version,
        stdout: process.stdout,
        env,
        onHangup,
        ...(config.file !== undefined && { source }),
      },
      stop.signal,
    );
  } finally {
    process.off('SIGTERM', stopped).off('SIGINT', stopped).off('SIGHUP', hungUp);
  }
}

/** Of a proxy that was started at a terminal, which has been closed: SIGHUP is the end then, as ever; nothing could be said there any more. */
function isTerminalGone(): boolean {
  if (!wasAtTerminal) return false;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}

function onHangup(listener: () => void): () => void {
  process.on('SIGHUP', listener);
  return () => process.off('SIGHUP', listener);
}

/** Lines of JSON on stderr: stdout belongs to a console writer. Synchronous, because the last lines before an exit are the ones that matter. */
function openLogger(level = 'info'): Logger {
  if (!LEVELS.includes(level))
    throw new FondacoError('CONFIG', `FONDACO_LOG_LEVEL must be one of ${LEVELS.join(', ')}, got ${JSON.stringify(level)}`);
  return pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
