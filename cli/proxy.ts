import pino, { type Logger } from 'pino';
import { systemClock } from '../core/clock.ts';
import { FondacoError } from '../core/errors.ts';
import { loadConfig } from '../proxy/config.ts';
import { runProxy } from '../proxy/proxy.ts';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** Runs a proxy until SIGTERM or SIGINT. A second signal ends it at once: what was acknowledged is in the journal. */
export async function startProxy(file: string | undefined, version: string): Promise<void> {
  const { env } = process;
  const config = await loadConfig(file, { env, cwd: process.cwd() });
  const logger = openLogger(env.FONDACO_LOG_LEVEL);
  const stop = new AbortController();
  const stopped = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
    stop.abort();
  };
  process.on('SIGTERM', stopped).on('SIGINT', stopped);
  try {
    await runProxy(config, { clock: systemClock(), random: Math.random, logger, version, stdout: process.stdout, env }, stop.signal);
  } finally {
    process.off('SIGTERM', stopped).off('SIGINT', stopped);
  }
}

/** Lines of JSON on stderr: stdout belongs to a console writer. Synchronous, because the last lines before an exit are the ones that matter. */
function openLogger(level = 'info'): Logger {
  if (!LEVELS.includes(level))
    throw new FondacoError('CONFIG', `FONDACO_LOG_LEVEL must be one of ${LEVELS.join(', ')}, got ${JSON.stringify(level)}`);
  return pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));
}
