import { privateKiB } from './proc.ts';

const LOOK_MS = 100;

/** The most private memory that a process has while this looks. */
export class Peak {
  #kiB = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      try {
        this.#kiB = Math.max(this.#kiB, privateKiB(pid));
      } catch {
        // It has ended.
      }
    }, LOOK_MS);
  }

  /** Looks no more; in KiB. */
  end(): number {
    clearInterval(this.#timer);
    return this.#kiB;
  }
}
