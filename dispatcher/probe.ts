/**
 * A refused writer's probe, when the lone event at its head is rejected. That may be the setting still, or that one event. If one behind it
 * is taken, it was the event: it and those tried before are set aside, and the feed goes on. If none is, nothing is set aside. Order is kept:
 * what is taken comes before all that is still to come, and what was passed for it is never delivered by the feed.
 */
import type { FondacoError } from '../core/errors.ts';
import type { FeedLane } from './feed-row.ts';
import type { Step } from './lane-reader.ts';
import type { Move, PassStep, WriteStep } from './moves.ts';
import { isOwn } from './own-events.ts';

/** Lone events of one probe; a longer row of events at fault needs a person, who resumes the writer. */
const EVENTS_MAX = 10;
/** Stretches between them that are not sent. */
const PASSES_MAX = 20;

export interface ProbeParts {
  /** Where the lane is: a copy, which moves. */
  readonly lane: FeedLane;
  /** So many may be set aside. */
  readonly lettersMax: number;
  /** The next event alone, or what is to be passed before it. */
  readonly next: (lane: FeedLane) => Promise<Step | undefined>;
  readonly attempt: (step: WriteStep) => Promise<FondacoError | undefined>;
  readonly passing: (step: PassStep) => Move;
  readonly settingAside: (step: WriteStep, failure: FondacoError) => Move;
  readonly delivering: (step: WriteStep) => Move;
  /** False: it was paused meanwhile, or is being stopped. */
  readonly isWanted: () => boolean;
}

/** Resolves with the moves that settle what was learned, or with what there is to wait for. */
export async function probeBehind(
  head: WriteStep,
  failure: FondacoError,
  parts: ProbeParts,
): Promise<{ readonly moves: readonly Move[] } | { readonly failure: FondacoError }> {
  const moves: Move[] = [];
  const move = (each: Move): void => {
    each.apply(parts.lane);
    moves.push(each);
  };
  move(parts.settingAside(head, failure));
  let passes = 0;
  for (let tried = 1; tried < EVENTS_MAX && tried <= parts.lettersMax && passes < PASSES_MAX;) {
    const step = await parts.next(parts.lane);
    if (!step || !parts.isWanted()) break;
    if (step.kind !== 'write') {
      passes++;
      move(parts.passing(step));
      continue;
    }
    if (step.deliveries.some(({ event }) => isOwn(event))) break; // what we say ourselves proves nothing for others
    tried++;
    const answer = await parts.attempt(step);
    if (!answer) {
      move(parts.delivering(step));
      return { moves };
    }
    if (answer.code !== 'REJECTED' || answer.facts.retryAfterMs !== undefined) return { failure: answer };
    move(parts.settingAside(step, answer));
  }
  return { failure };
}
