/** What may end a request, as one signal: the caller, the time for its beginning, the time for the whole. Leaves nothing behind once cleared. */
export class Stop {
  /** What ended it; undefined while nothing has. */
  why: 'stopped' | 'late' | 'silent' | undefined;
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal;
  readonly #limits: { readonly totalMs: number; readonly headersMs: number };
  readonly #total: NodeJS.Timeout;
  readonly #headers: NodeJS.Timeout;
  #rest: NodeJS.Timeout | undefined;

  constructor(caller: AbortSignal, limits: { readonly totalMs: number; readonly headersMs: number }) {
    this.#caller = caller;
    this.#limits = limits;
    this.#total = setTimeout(() => this.#abort('late'), limits.totalMs);
    this.#headers = setTimeout(() => this.#abort('silent'), limits.headersMs);
    caller.addEventListener('abort', this.#stopped);
    if (caller.aborted) this.#stopped();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The time that was up, for people. */
  get limit(): string {
    return this.why === 'silent' ? `${this.#limits.headersMs} ms` : `${this.#limits.totalMs} ms`;
  }

  /** The answer has begun, and may take so many milliseconds more; not beyond the time for the whole. */
  begun(restMs: number): void {
    clearTimeout(this.#headers);
    this.#rest = setTimeout(() => this.#abort('late'), restMs);
  }

  clear(): void {
    clearTimeout(this.#total);
    clearTimeout(this.#headers);
    clearTimeout(this.#rest);
    this.#caller.removeEventListener('abort', this.#stopped);
  }

  readonly #stopped = (): void => this.#abort('stopped');

  #abort(why: 'stopped' | 'late' | 'silent'): void {
    this.why ??= why;
    this.#controller.abort();
  }
}
