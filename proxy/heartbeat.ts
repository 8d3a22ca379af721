import { isFondacoError } from '../core/errors.ts';
import type { JsonObject } from '../core/event.ts';
import { LANES } from '../core/lane.ts';
import type { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { Feed } from '../dispatcher/feed/feed.ts';
import { OWN_TYPES } from '../dispatcher/own-events.ts';
import type { Heartbeat } from '../dispatcher/sites.ts';

/** With an upstream writer, unless the config says another. */
const INTERVAL_MS = 60_000;

export interface HeartbeatParts {
  readonly dispatcher: Dispatcher;
  /** They change with the config. */
  readonly feeds: readonly Feed[];
  readonly version: string;
  readonly node: string;
  /** As configured; 0: none. */
  readonly intervalMs: number | undefined;
}

/**
 * Records a heartbeat now and in every interval, until `signal` is aborted, in the urgent lane: it is to be heard beside any backlog. None is
 * made while the one before waits for every upstream writer, so that an outage leaves one behind and not thousands.
 */
export async function sendHeartbeats(parts: HeartbeatParts, signal: AbortSignal): Promise<void> {
  const { dispatcher, feeds } = parts;
  const intervalMs = parts.intervalMs ?? INTERVAL_MS;
  if (intervalMs === 0) return;
  let behindLast = 0;
  while (!signal.aborted) {
    const upstream = feeds.filter(({ settings }) => settings.heartbeats === true);
    const isWanted =
      upstream.length === 0 ? parts.intervalMs !== undefined : upstream.some(({ lanes }) => lanes.urgent.cursor >= behindLast);
    try {
      if (isWanted) behindLast = await record(parts, intervalMs);
    } catch (error) {
      if (!isFondacoError(error)) throw error; // the journal takes nothing now: the next one will tell
    }
    await dispatcher.clock.sleep(intervalMs, signal);
  }
}

/** Resolves with the position behind it, or behind what came at the same time. */
async function record({ dispatcher, feeds, version, node }: HeartbeatParts, intervalMs: number): Promise<number> {
  const { accepted, rejected, lost } = dispatcher.counts;
  const lanes = feeds.flatMap((feed) => LANES.map((lane) => feed.lanes[lane].status()));
  const heartbeat: Heartbeat = {
    version,
    node,
    intervalMs,
    accepted: accepted.urgent + accepted.normal,
    rejected,
    lost,
    pending: Math.max(0, ...lanes.map(({ pending }) => pending)),
    oldestAgeMs: Math.max(0, ...lanes.map(({ oldestAgeMs }) => oldestAgeMs)),
  };
  const message = `fondaco ${version}: ${heartbeat.pending} pending`;
  const event = { type: OWN_TYPES.heartbeat, severity: 'debug', message, attributes: { ...heartbeat } as JsonObject } as const;
  await dispatcher.journal.commit((draft) => dispatcher.record(draft, 'urgent', event));
  return dispatcher.journal.head('urgent');
}
