/**
 * The subscriber's own record: what arrived, in the order of arrival, one CloudEvent a line, as it came. Repeats (a proxy that was killed
 * between delivering and noting it delivers again) are in it too: whoever reads it tells them by their id.
 */
import { open, readFile, rename, stat, truncate, type FileHandle } from 'node:fs/promises';
import type { EventObject } from '../core/event.ts';
import { LANES, type Lane } from '../core/lane.ts';
import { SEVERITIES, type Severity } from '../core/severity.ts';

/** A CloudEvent of Fondaco (writers/cloudevents.ts), as far as the demo looks at it. */
export interface ReceivedEvent {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly time: string;
  readonly severitytext: Severity;
  /** The delivery seq, 16 digits. */
  readonly sequence: string;
  readonly data: {
    readonly message: string;
    readonly object?: EventObject;
    readonly revision: number;
    readonly count: number;
    readonly added: number;
    readonly delivery: { readonly writer: string; readonly lane: Lane; readonly series: string };
  };
}

/** A record that is larger when it is opened is put aside as `<file>.1`. */
const BYTES_MAX = 64 * 1024 * 1024;

/** The record, open for writing. */
export class EventRecord {
  readonly #file: FileHandle;

  /** Opens it behind what is there; half a line, of a writer that was killed, is cut off: it was never acknowledged. */
  static async open(path: string): Promise<EventRecord> {
    const bytes = await stat(path).then(
      ({ size }) => size,
      () => 0,
    );
    if (bytes > BYTES_MAX) await rename(path, `${path}.1`);
    else if (bytes > 0) await truncate(path, (await readFile(path)).lastIndexOf(0x0a) + 1);
    return new EventRecord(await open(path, 'a'));
  }

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Resolves when the events are on the disk: only then may they be acknowledged. One call at a time. */
  async append(events: readonly ReceivedEvent[]): Promise<void> {
    if (events.length === 0) return;
    await this.#file.appendFile(events.map((event) => JSON.stringify(event) + '\n').join(''));
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** All that was received, from the first on; a last line that is being written is left out. */
export async function readRecord(path: string): Promise<ReceivedEvent[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  });
  // By hand: readline takes U+2028 for the end of a line, too.
  const lines = text.split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line) as ReceivedEvent);
}

/** The first arrivals: the record without its repeats. */
export function withoutRepeats(record: readonly ReceivedEvent[]): ReceivedEvent[] {
  const known = new Set<string>();
  return record.filter(({ id }) => !known.has(id) && known.add(id));
}

/** `<series>-<seq>`, and the revision of a summary after a dot. Undefined for an id of another form. */
export function eventId(id: string): { readonly series: string; readonly seq: number; readonly revision: number } | undefined {
  const [, series = '', seq, revision = '0'] = /^(.+)-(\d+)(?:\.(\d+))?$/.exec(id) ?? [];
  return seq === undefined ? undefined : { series, seq: Number(seq), revision: Number(revision) };
}

/** What a batch holds, or what is wrong with it, in words. */
export function parseBatch(text: string): ReceivedEvent[] | string {
  let batch: unknown;
  try {
    batch = JSON.parse(text);
  } catch (error) {
    return `the body must be JSON, ${(error as Error).message}`;
  }
  if (!Array.isArray(batch)) return 'the body must be a JSON array of CloudEvents';
  const wrong = batch.findIndex((event) => !isReceivedEvent(event));
  return wrong < 0 ? (batch as ReceivedEvent[]) : `element ${wrong} must be a CloudEvent 1.0 of Fondaco`;
}

function isReceivedEvent(value: unknown): value is ReceivedEvent {
  if (!isObject(value) || value.specversion !== '1.0' || !isObject(value.data) || !isObject(value.data.delivery)) return false;
  const texts = [value.id, value.source, value.type, value.time, value.sequence, value.data.message, value.data.delivery.series];
  const numbers = [value.data.revision, value.data.count, value.data.added];
  return (
    texts.every((text) => typeof text === 'string') &&
    numbers.every((number) => Number.isSafeInteger(number)) &&
    SEVERITIES.some((severity) => severity === value.severitytext) &&
    LANES.some((lane) => lane === (value.data as { delivery: { lane?: unknown } }).delivery.lane)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
