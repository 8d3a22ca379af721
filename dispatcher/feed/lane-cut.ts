import { isFondacoError } from '../../core/errors.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Entry } from '../../core/journal.ts';
import type { FeedLane } from './feed-row.ts';
import type { Feed } from './feed.ts';
import type { FeedSettings } from './feed-settings.ts';
import { compileFilter } from './filter.ts';
import type { LaneReader, Step } from './lane-reader.ts';
import { addresseeOf, isHeartbeat, isTelling, OWN_TYPES } from '../own-events.ts';
import { matchesGlob } from '../../core/glob.ts';

type Wants = (event: DecodedEvent, entry: Entry) => boolean;

/** Whether a writer gets an entry that is not folded: by its filter; what tells of losses in any case, unless it is for another writer; heartbeats only if it asks for them. */
export function wantedBy({ name, filter, notices, heartbeats }: Pick<FeedSettings, 'name' | 'filter' | 'notices' | 'heartbeats'>): Wants {
  const passes = compileFilter(filter);
  const namesHeartbeats = filter.types?.some((glob) => glob.startsWith('fondaco.') && matchesGlob(glob, OWN_TYPES.heartbeat)) ?? false;
  return (event, entry) => {
    if (isHeartbeat(event, entry)) return heartbeats === true || (namesHeartbeats && passes(event));
    if (!isTelling(event, entry)) return passes(event);
    return (addresseeOf(event) ?? name) === name && (notices || passes(event));
  };
}

/** Cuts what a lane reads by its writer's filter and limits. */
export class LaneCut {
  readonly #feed: Feed;
  readonly #reader: LaneReader;
  readonly #wantsNow: Wants;

  constructor(feed: Feed, reader: LaneReader) {
    this.#feed = feed;
    this.#reader = reader;
    this.#wantsNow = wantedBy(feed.settings);
  }

  /** The next step from a lane's cursor on; undefined if there is none, or after a while where the journal is being reopened. */
  async next(from: FeedLane, eventsMax: number, signal: AbortSignal): Promise<Step | undefined> {
    const { settings, clock } = this.#feed;
    const { before } = from;
    const wants = before ? wantedBy({ ...settings, filter: before.filter }) : this.#wantsNow;
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
