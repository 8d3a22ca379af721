/**
 * The end of the process. `exit` listeners run on process.exit(), on an empty event loop and on an uncaught exception, but not on a signal
 * that nobody listens to, and not in a way that writes files from a worker thread in time.
 */
import { isMainThread } from 'node:worker_threads';

const atExit = new Set<() => void>();
let isListening = false;

/** Runs `action`, synchronously, when the main thread exits; returns what takes that back. Does nothing in a worker thread. */
export function onExit(action: () => void): () => void {
  if (!isMainThread) return () => undefined;
  if (!isListening) {
    isListening = true;
    process.on('exit', () => {
      for (const act of atExit) act();
    });
  }
  atExit.add(action);
  return () => atExit.delete(action);
}

/**
 * On each of the signals: `flush`, then `last` and at once the signal again, unless the host listens to it itself and so decides what it means.
 * Events may be recorded until then. `last` is synchronous. Returns what takes that back.
 */
export function onSignals(signals: readonly NodeJS.Signals[], flush: () => Promise<void>, last: () => void): () => void {
  if (!isMainThread) return () => undefined;
  let flushing: Promise<void> | undefined;
  const handle = (signal: NodeJS.Signals): void => {
    flushing ??= flush().finally(() => {
      flushing = undefined;
      if (process.listenerCount(signal) > 1) return;
      remove();
      last();
      process.kill(process.pid, signal);
    });
  };
  const remove = (): void => {
    for (const signal of signals) process.off(signal, handle);
  };
  for (const signal of signals) process.on(signal, handle);
  return remove;
}
