import { performance } from 'node:perf_hooks';

/** Resolves when the condition holds, looked at every few milliseconds; rejects after `limitMs` with what was waited for. */
export async function until(what: string, isDone: () => boolean | Promise<boolean>, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await isDone())) {
    if (performance.now() > end) throw new Error(`waited ${limitMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
