/** What a recorder hands over at a time, and what it is answered: fondaco.v1.Batch and BatchReply, as plain values. */
import type { Lane } from './lane.ts';

/** Seqs first to last, both included. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

/** Seqs that their sender lost, and why. */
export interface LostRange extends SeqRange {
  readonly cause: LossCause;
}

/** Why something is missing. */
export type LossCause = 'memory-full' | 'spool-full' | 'corrupt' | 'restored' | 'rejected' | 'budget' | 'age' | 'purged' | 'killed';

/**
 * Events take the seqs after `after` that `lost` does not name, in order.
 */
export interface Batch {
  /** 16 bytes, a UUIDv7. */
  readonly series: Uint8Array;
  /** The lane that the series was recorded in; the proxy chooses the journal's lane itself. */
  readonly lane: Lane;
  readonly after: number;
  /** Every seq up to this one is settled, as far as the sender was told: the receiver may forget the rejections among them. At most `after`. */
  readonly settled: number;
  /** UUID of the journal that settled `after`; '' if nothing was settled yet. */
  readonly settledBy: string;
  /** The sender no longer holds what lies between the receiver's last and `after`. */
  readonly isGone: boolean;
  readonly lost: readonly LostRange[];
  readonly events: readonly Uint8Array[];
  /** Nothing more will come: the row may be freed. */
  readonly isClosing: boolean;
  /** Who sends, for messages to people. */
  readonly sender: { readonly node: string; readonly component: string };
  /** A proxy forwards: its site. Its events carry what proxies set, and are stored as they are, in this lane. */
  readonly forwarder?: string;
  /** Events that the input has refused itself, before they had a number: to be kept for people. Never on the wire. */
  readonly refused?: readonly RefusedEvent[];
}

/** An event that is not taken, and why. */
export interface RefusedEvent {
  readonly input: 'grpc' | 'http';
  /** What its bytes are: a `fondaco.v1.Event`, or the text that came. Either may be malformed. */
  readonly form: 'protobuf' | 'json';
  /** `<series>-<seq>`; '' where it never had one. */
  readonly id: string;
  /** As far as they could be read. */
  readonly type: string;
  readonly node: string;
  readonly component: string;
  /** Field, expected, got. */
  readonly reason: string;
  readonly bytes: Uint8Array;
}

/** What a sender is told of a batch: how far its series is settled now, with `expected` or `throttleMs` where nothing was stored. */
export interface BatchReply {
  readonly series: Uint8Array;
  /** Every seq up to this is stored, rejected or declared lost. */
  readonly settled: number;
  /** UUID of the journal that answers. */
  readonly journal: string;
  /** Nothing was stored: go back and send from here. */
  readonly expected?: number;
  /** Nothing was stored: the journal has no room; try again after this time. */
  readonly throttleMs?: number;
  readonly rejections: readonly Rejection[];
}

/** An event that will never be stored, and why. */
export interface Rejection {
  readonly seq: number;
  /** Field, expected, got. */
  readonly reason: string;
}
