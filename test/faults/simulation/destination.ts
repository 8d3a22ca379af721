import { FondacoError } from '../../../core/errors.ts';
import type { Delivery, Writer } from '../../../core/writer.ts';
import type { Life, Timeline } from './timeline.ts';

/** What a destination does with a batch. */
export const MANNERS = [
  'takes',
  'takes',
  'takes unheard',
  'is away',
  'refuses',
  'hates text 3',
  'hates all',
  'too large',
  'hangs',
] as const;
export type Manner = (typeof MANNERS)[number];

/** A receiver of events, outside of the proxy: it outlives it, and remembers what it took. */
export class Destination {
  manner: Manner = 'takes';
  /** All that was taken, repeats included. */
  readonly taken: Delivery[] = [];
  /** How many had been taken when the store was set back to an older copy: what is pending in that comes under its old numbers. */
  readonly setBackAt = new Set<number>();
  /** When, in the run's time. */
  readonly takenAt: number[] = [];
  readonly #timeline: Timeline;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Its client in a life of the proxy. */
  writer(life: Life): Writer {
    return { write: (batch, signal) => this.#write(life, batch, signal) };
  }

  #write(life: Life, batch: readonly Delivery[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const answer = (): void => {
        const error = this.#answer(batch);
        if (error === 'none') return;
        if (error) reject(error);
        else resolve();
      };
      const takeBack = this.#timeline.add({ life, what: 'an answer', go: answer, unheard: () => void this.#answer(batch) });
      signal.addEventListener(
        'abort',
        () => {
          takeBack();
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  }

  /** What it says, or that it says nothing; a batch without an error is taken. */
  #answer(batch: readonly Delivery[]): FondacoError | 'none' | undefined {
    const answer = this.#mind(batch);
    if (answer === undefined || this.manner === 'takes unheard') this.#take(batch);
    return answer;
  }

  #mind(batch: readonly Delivery[]): FondacoError | 'none' | undefined {
    switch (this.manner) {
      case 'takes':
        return undefined;
      case 'takes unheard':
        return new FondacoError('UNAVAILABLE', 'the answer was lost');
      case 'is away':
        return new FondacoError('UNAVAILABLE', 'nobody is there', { unreachable: true });
      case 'refuses':
        return new FondacoError('REFUSED', '401');
      case 'hates text 3':
        return batch.some(({ event }) => event.message === 'text 3') ? new FondacoError('REJECTED', '422') : undefined;
      case 'hates all':
        return new FondacoError('REJECTED', '422');
      case 'too large':
        return batch.length > 2 ? new FondacoError('REJECTED', '413', { tooLarge: true }) : undefined;
      default:
        return 'none';
    }
  }

  #take(batch: readonly Delivery[]): void {
    this.taken.push(...batch);
    this.takenAt.push(...batch.map(() => this.#timeline.now));
  }
}
