import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.ts';

/** At most one line about callers that were not let in, however many there are, in this time, ms. */
const QUIET_MS = 60_000;

export interface GateParts {
  /** `listen.token`; without one everybody is let in. */
  readonly token: string | undefined;
  readonly clock: Clock;
  /** Told that callers were not let in: how many since the last time, and where the last one came from. */
  readonly onRefused: (refused: number, from: string) => void;
}

/** Lets callers of both listeners in who know the token. */
export class Gate {
  readonly #parts: GateParts;
  readonly #digest: Buffer | undefined;
  #refused = 0;
  #quietUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.#digest = parts.token === undefined ? undefined : digest(parts.token);
  }

  get wantsToken(): boolean {
    return this.#digest !== undefined;
  }

  /**
   * Why a caller is not let in, in words for it; undefined if it is. `authorization` is what it sent under that name, `Bearer …`
   * (RFC 6750, section 2.1). How long this takes tells nothing of the token.
   */
  problem(authorization: string | undefined, from: string): string | undefined {
    if (!this.#digest) return undefined;
    const [, given] = /^Bearer +([^ ]+) *$/i.exec(authorization ?? '') ?? [];
    if (given !== undefined && timingSafeEqual(digest(given), this.#digest)) return undefined;
    this.#count(from);
    if (authorization === undefined) return 'a token is wanted, as authorization: Bearer <token>, got none';
    return given === undefined
      ? 'a token is wanted, as authorization: Bearer <token>, got another form'
      : 'the token is not that of this proxy';
  }

  #count(from: string): void {
    const now = this.#parts.clock.monotonic();
    this.#refused++;
    if (now < this.#quietUntil) return;
    this.#parts.onRefused(this.#refused, from);
    this.#refused = 0;
    this.#quietUntil = now + QUIET_MS;
  }
}

/** Of one length, whatever the length of what was sent. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
