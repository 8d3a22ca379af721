import { FondacoError, isFondacoError } from '../../core/errors.ts';
import type { Draft } from '../../core/journal.ts';
import type { Dispatcher } from '../dispatcher.ts';
import { FEED_PREFIX, type FeedRow } from '../feed/feed-row.ts';
import type { PurgedWriter } from './purge.ts';
import { REPLAY_PREFIX } from './replay-row.ts';

/** How long a command waits for a journal that is being reopened, and between two tries. */
const COMMAND_MS = 5000;
const RETRY_MS = 50;

/**
 * A writer that the config no longer has. Its row is kept, in case it comes back, and so are its dead letters: they can be given up. A replay
 * that was under way ends with that: it would have nothing to go on with.
 */
export class DepartedWriter implements PurgedWriter {
  readonly dispatcher: Dispatcher;
  readonly settings: { readonly name: string };
  readonly replay = { isUnderWay: false } as const;
  isPurging = false;
  row: FeedRow;

  private constructor(dispatcher: Dispatcher, name: string, row: FeedRow) {
    this.dispatcher = dispatcher;
    this.settings = { name };
    this.row = row;
  }

  /** Undefined where there never was such a writer. Rejects CORRUPT where its row is damaged: then only its return mends that. */
  static async open(dispatcher: Dispatcher, name: string): Promise<DepartedWriter | undefined> {
    const row = await dispatcher.journal.row(FEED_PREFIX + name);
    return row === undefined ? undefined : new DepartedWriter(dispatcher, name, row as FeedRow);
  }

  /** Commits a change of the row, which nobody else writes. Rejects UNAVAILABLE or FULL where the journal takes nothing. */
  async command(change: (draft: Draft) => boolean): Promise<boolean> {
    const { journal, clock } = this.dispatcher;
    const until = clock.monotonic() + COMMAND_MS;
    for (;;) {
      try {
        this.row = (await journal.row(FEED_PREFIX + this.settings.name)) as FeedRow; // what a failed commit changed is gone with it
        return await journal.commit((draft) => {
          if (this.dispatcher.served.has(this.settings.name))
            throw new FondacoError('UNAVAILABLE', `writer ${this.settings.name} is back, try again`);
          return change(draft);
        });
      } catch (error) {
        if (!isFondacoError(error) || clock.monotonic() >= until) throw error;
        await clock.sleep(RETRY_MS);
      }
    }
  }

  put(draft: Draft): void {
    const { name } = this.settings;
    draft.put(FEED_PREFIX + name, () => this.row);
    draft.delete(REPLAY_PREFIX + name);
    draft.delete(`${REPLAY_PREFIX}${name}/ids`);
  }

  roomMade(): void {
    // Nobody waits for it; a feed looks when it is opened.
  }
}
