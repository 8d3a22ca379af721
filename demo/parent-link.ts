/**
 * The child's end of the channel to its parent: says when it is ready, and answers questions.
 *
 *     child → parent   { ready: value }
 *     parent → child   { ask: 7, about: 'status' }
 *     child → parent   { answer: 7, value }
 *     child → parent   { last: value }                its last words, when its work is done
 *
 * Without a parent (started by hand) nothing is sent, and nobody asks.
 */
export interface Question {
  readonly ask: number;
  readonly about: string;
}

export type FromChild = { readonly ready: unknown } | { readonly answer: number; readonly value: unknown } | { readonly last: unknown };

/** Answers the parent's questions from now on. The channel alone does not keep the process alive. */
export function answerParent(answers: Readonly<Record<string, () => unknown>>): void {
  process.on('message', (message: Question) => {
    const answer = answers[message.about];
    if (answer) void tell({ answer: message.ask, value: answer() });
  });
  process.channel?.unref();
}

/** Tells the parent that this process does its work now. */
export function sayReady(value: unknown = {}): Promise<void> {
  return tell({ ready: value });
}

/** Leaves the parent something to be read after the end. */
export function sayLast(value: unknown): Promise<void> {
  return tell({ last: value });
}

/** Resolves when the message was handed over, or nobody is there to take it. */
function tell(message: FromChild): Promise<void> {
  return new Promise((resolve) => {
    if (process.send && process.connected) process.send(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

/** A signal that is aborted when this process is asked to end: SIGTERM, SIGINT, SIGHUP. */
export function untilAsked(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  return stop.signal;
}
