import type { FondacoError } from '../core/errors.ts';
import { LANES, perLane, type PerLane } from '../core/lane.ts';
import type { LinkState } from '../proto/session.ts';
import type { Keeper } from './keeper.ts';
import type { SeriesStore } from './series-store.ts';

/** `recorded = settled + spooled + queued + dropped + rejected`, always. */
export interface RecorderLedger {
  /** Calls of event() and record(). */
  readonly recorded: number;
  /** Taken by a proxy: in its journal. */
  readonly settled: number;
  /** On this machine's disk, on their way. */
  readonly spooled: number;
  /** In memory only. */
  readonly queued: number;
  /** Lost for want of room, damaged on disk, or recorded after the close. Each is declared to the proxy, except the last. */
  readonly dropped: number;
  /** Mistakes in calls, and events that the proxy will never take. */
  readonly rejected: number;
}

/** What a recorder is doing. */
export interface RecorderStatus {
  /**
   * connected: the proxy takes what is recorded, or nothing says otherwise. spooling: no proxy answers. draining: one does, and the spool
   * is being emptied. closed. unopened: the process-wide recorder before its open().
   */
  readonly state: 'unopened' | 'connected' | 'spooling' | 'draining' | 'closed';
  /** The proxy in use, or tried last. */
  readonly proxy: string;
  readonly ledger: RecorderLedger;
  /** The same without refused calls, which have no lane. */
  readonly lanes: PerLane<RecorderLedger>;
  /**
   * What earlier lives left in this component's directory: how many are not drained, the events in those that are open, and how many of
   * their events this recorder has brought to a proxy. Not part of the ledger.
   */
  readonly older: { readonly lives: number; readonly events: number; readonly settled: number };
  readonly memoryBytes: number;
  readonly spool: { readonly directory: string | undefined; readonly bytes: number };
  /** The last thing that went wrong, in words; it may be over. */
  readonly lastError: string | undefined;
}

/** What a status is made of. */
export interface StatusParts {
  readonly keeper: Keeper;
  readonly link: LinkState;
  readonly proxy: string;
  readonly isClosed: boolean;
  readonly calls: number;
  readonly refused: number;
  readonly late: number;
  readonly lastError: FondacoError | undefined;
}

/** The status as of now; synchronous, reads memory alone. */
export function statusOf(parts: StatusParts): RecorderStatus {
  const { keeper } = parts;
  const lanes = perLane((lane) => ledgerOf(keeper.own.stores[lane]));
  const sum = (field: keyof RecorderLedger): number => LANES.reduce((total, lane) => total + lanes[lane][field], 0);
  return {
    state: stateOf(parts, sum('spooled')),
    proxy: parts.proxy,
    ledger: {
      recorded: parts.calls,
      settled: sum('settled'),
      spooled: sum('spooled'),
      queued: sum('queued'),
      dropped: sum('dropped') + parts.late,
      rejected: sum('rejected') + parts.refused,
    },
    lanes,
    older: keeper.older,
    memoryBytes: keeper.memoryBytes,
    spool: { directory: keeper.base, bytes: keeper.spoolBytes },
    lastError: parts.lastError?.message,
  };
}

function ledgerOf(store: SeriesStore): RecorderLedger {
  return { recorded: store.last, spooled: store.spooled, queued: store.queued, ...store.counts };
}

function stateOf({ keeper, isClosed }: StatusParts, spooled: number): RecorderStatus['state'] {
  if (isClosed) return 'closed';
  if (keeper.isLinkDown) return 'spooling';
  return spooled > 0 || keeper.older.lives > 0 ? 'draining' : 'connected';
}
