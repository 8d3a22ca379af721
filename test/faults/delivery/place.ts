/** A destination of the table: a real server, a file or a stream, with what the faults of the table need of it. */
import type { Child } from '../../support/processes.ts';
import type { TcpTap } from '../../support/tcp-tap.ts';
import type { Arrived } from './arrived.ts';

/** What the writer's page in docs/ promises of a resend. */
export type Rule = 'once' | 'at least once' | 'best effort';

/** Events in a batch of every writer of the table that has batches. */
export const BATCH_EVENTS = 50;
/** How long a write may take: less than a destination stands still. */
export const WRITE_MS = 2000;
/** What a writer may have under way in a lane: a batch that is written while the one before it is settled. */
export const TWO_BATCHES = 2 * BATCH_EVENTS;

export interface Place {
  /** The writer's. */
  readonly name: string;
  readonly rule: Rule;
  /** So many events of a lane may come again at a time: those that were under way when something broke. */
  readonly inFlight: number;
  /** The writer's settings in YAML, beside its name, batch and retry. */
  readonly yaml: string;
  /** BATCH_EVENTS unless told. */
  readonly eventsMax?: number;
  /** On the way to it, where there is one. */
  readonly tap?: TcpTap;
  /** The writer settles by a resendWindow, and not when it has written. */
  readonly isWindowed?: boolean;
  /** SIGKILL, and a new one at the same address, after a while. */
  restart?(awayMs?: number): Promise<void>;
  /** Takes a part of a batch, and then all again. */
  readonly takeInPart?: (() => Promise<void>) | undefined;
  /** Stands still for longer than a write may take, where no tap can make it. */
  standStill?(): Promise<void>;
  /** From now on poison is refused, where it was not before. Something has come already. */
  refusePoison?(): Promise<void>;
  /** A proxy has been started. */
  proxyStarted?(proxy: Child): void;
  /** Everything that came, in order. */
  arrived(): Promise<readonly Arrived[]>;
  /** What it saw wrong by itself. */
  readonly problems?: readonly string[];
  close(): Promise<void>;
}
