import type { Clock } from '../../core/clock.ts';
import type { EventDetails } from '../../core/event-input.ts';
import type { Severity } from '../../core/severity.ts';

/** Records an event; `recorder.event` is one. */
export type RecordEvent = (type: string, severity: Severity, message: string, details?: EventDetails) => unknown;

export interface CollectorParts {
  readonly record: RecordEvent;
  readonly clock: Clock;
  /** How often it looks, where it has to look. */
  readonly intervalMs: number;
}

/**
 * Watches one thing and records what happens to it, until `signal` is aborted; then resolves. Rejects if this machine does not let it:
 * that is recorded once, and the others go on.
 */
export interface Collector {
  readonly name: string;
  run(parts: CollectorParts, signal: AbortSignal): Promise<void>;
}

/** Looks now and every `intervalMs`, until `signal` is aborted. What `look` throws ends it. */
export async function poll(look: () => void | Promise<void>, { clock, intervalMs }: CollectorParts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await look();
    await clock.sleep(intervalMs, signal);
  }
}

/** What one field of an object may take (core/event.ts), with room for the mark of a cut. */
const NAME_BYTES = 250;

/** A name that fits the field of an object: file names and paths may be longer. */
export function shortName(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES) return name;
  let cut = name.slice(0, NAME_BYTES);
  while (Buffer.byteLength(cut) > NAME_BYTES) cut = cut.slice(0, -1);
  return `${cut.replace(/[\uD800-\uDBFF]$/, '')}…`; // not between the halves of a character
}
