import type { FondacoError } from '../core/errors.ts';
import type { Lane } from '../core/lane.ts';
import { uuidV7 } from '../core/uuid.ts';
import { errorOf } from './feed-row.ts';
import { succeed } from './feed-state.ts';
import type { Feed } from './feed.ts';
import { delivering, passing, settingAside, type InCommit, type LoseRange, type Move, type PassStep, type WriteStep } from './moves.ts';

/** The moves of one writer's lane, with what belongs to them: fresh series, losses, what the others are told. */
export class LaneMoves {
  readonly #feed: Feed;
  readonly #lane: Lane;

  constructor(feed: Feed, lane: Lane) {
    this.#feed = feed;
    this.#lane = lane;
  }

  passing(step: PassStep): Move {
    const { dispatcher, settings } = this.#feed;
    const id = `${settings.name}/${this.#lane}`;
    const lose: LoseRange = (draft, cause, series, range) => {
      if (step.kind === 'hole' && step.isOfNotices) dispatcher.loseNotices(draft, step.to - step.from);
      else dispatcher.lose(draft, { kind: 'writer', id, series }, cause, range);
    };
    return passing(step, this.#freshSeries(), lose);
  }

  delivering(step: WriteStep): Move {
    return delivering(step, this.#freshSeries(), (commit) => this.succeeded(commit));
  }

  /** `isLone`: a lone rejection, which counts towards the ten. */
  settingAside(step: WriteStep, failure: FondacoError, isLone: boolean): Move {
    const error = errorOf(failure, this.#feed.clock.now());
    return settingAside(step, this.#freshSeries(), { writer: this.#feed.settings.name, lane: this.#lane, error, isLone });
  }

  /** In the commit that settles what the destination took. */
  succeeded({ draft, row }: InCommit): void {
    if (succeed(row)) this.#feed.report(draft, 'writerResumed', `writer ${this.#feed.settings.name} delivers again`);
  }

  #freshSeries(): string {
    return uuidV7(this.#feed.clock.now());
  }
}
