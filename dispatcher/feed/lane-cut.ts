import { isFondacoError } from '../../core/errors.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Entry } from '../../core/journal.ts';
import type { FeedLane } from './feed-row.ts';
import type { Feed } from './feed.ts';
import { compileFilter } from './filter.ts';
import type { LaneReader, Step } from './lane-reader.ts';
import { isNotice } from '../own-events.ts';

/** Cuts what a lane reads by its writer's filter and limits. */
export class LaneCut {
  readonly #feed: Feed;
  readonly #reader: LaneReader;
  readonly #wantsNow: (event: DecodedEvent) => boolean;

  constructor(feed: Feed, reader: LaneReader) {
    this.#feed = feed;
    this.#reader = reader;
    this.#wantsNow = compileFilter(feed.settings.filter);
  }

  /** The next step from a lane's cursor on; undefined if there is none, or after a while where the journal is being reopened. */
  async next(from: FeedLane, eventsMax: number, signal: AbortSignal): Promise<Step | undefined> {
    const { settings, clock } = this.#feed;
    const { before } = from;
    const wantsBy = before ? compileFilter(before.filter) : this.#wantsNow;
    const wants = (event: DecodedEvent, entry: Entry): boolean => (isNotice(event, entry) && settings.notices) || wantsBy(event);
    const limits = { eventsMax: before ? Math.min(eventsMax, before.deliveries) : eventsMax, bytesMax: settings.batch.bytesMax };
    try {
      return await this.#reader.next(from, wants, limits);
    } catch (error) {
      if (!isFondacoError(error)) throw error;
      await clock.sleep(100, signal);
      return undefined;
    }
  }
}
