import { createHash, timingSafeEqual } from 'node:crypto';
import type { Refusals } from './caller-refusals.ts';

/** What a gate decides by. */
export interface GateParts {
  /** `listen.token`; without one everybody is let in. */
  readonly token: string | undefined;
  readonly refusals: Refusals;
}

/** Lets callers of both listeners in who know the token. */
export class Gate {
  readonly #parts: GateParts;
  readonly #digest: Buffer | undefined;

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
    this.#parts.refusals.count(from);
    if (authorization === undefined) return 'a token is wanted, as authorization: Bearer <token>, got none';
    return given === undefined
      ? 'a token is wanted, as authorization: Bearer <token>, got another form'
      : 'the token is not that of this proxy';
  }
}

/** Of one length, whatever the length of what was sent. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
