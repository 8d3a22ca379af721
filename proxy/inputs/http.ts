/**
 * Events over HTTP: the bodies of POST /v1/events, in the input form of an event. A sender that has no recorder gives no ids, so they are of
 * the proxy's own series.
 *
 * What is wrong with an event is answered to its sender before it has a number: it is no loss. The others of a request are one batch, stored
 * all or none; a request with an urgent event goes under the urgent series and waits for no normal one.
 */
import { isUtf8 } from 'node:buffer';
import { setImmediate as turn } from 'node:timers/promises';
import type { RefusedEvent } from '../../core/batch.ts';
import { asError, FondacoError, isFondacoError } from '../../core/errors.ts';
import { parseEvent, type InputDefaults } from '../../core/event-input.ts';
import { describeFault, shapeOfJson } from '../../core/json-shape.ts';
import { LANES, perLane, type PerLane } from '../../core/lane.ts';
import { readLines } from '../../core/ndjson.ts';
import { SEVERITY_NUMBER } from '../../core/severity.ts';
import { EventBytes } from '../../dispatcher/inputs/event-bytes.ts';
import { InputSeries, type InputOptions, type Taken } from '../../dispatcher/inputs/input-series.ts';

/** Events of one request. */
export const EVENTS_MAX = 10_000;
/** Events are read in portions of so many bytes of text, so that others have their turn in between. */
const TURN_BYTES = 64 * 1024;
const BYTE_ORDER_MARK = '\ufeff';

export type BodyForm = 'json' | 'ndjson';

/** What became of the events of a request, in their order. */
export interface Posted {
  readonly accepted: number;
  readonly rejected: number;
  readonly results: readonly EventResult[];
}

export interface EventResult {
  /** In the request, from 0. */
  readonly index: number;
  /** NDJSON: its line, from 1. */
  readonly line?: number;
  readonly id?: string;
  readonly error?: EventError;
}

/** Why an event was not taken: field, expected, got. */
export interface EventError {
  readonly code: 'REJECTED';
  readonly message: string;
  readonly field?: string;
}

/** An event's JSON text, and where it was. */
interface Part {
  readonly text: string;
  readonly line?: number;
  readonly problem?: string;
}

/** A body as a whole that cannot be taken; the request is at fault. */
export class BodyError extends Error {
  readonly isTooMany: boolean;

  constructor(message: string, { isTooMany = false } = {}) {
    super(message);
    this.isTooMany = isTooMany;
  }
}

export class HttpInput {
  readonly #options: InputOptions;
  readonly #defaults: InputDefaults;
  readonly #series: PerLane<InputSeries>;
  readonly #bug = new AbortController();
  readonly #bytes = new EventBytes();
  #rejected = 0;

  constructor(options: InputOptions) {
    const { accept, journal, refusal, clock, node } = options;
    this.#options = options;
    const sender = { node, component: 'http' };
    this.#defaults = { ...sender, types: options.types };
    this.#series = perLane((lane) => new InputSeries({ lane, accept, journal, refusal, sender, now: clock.now() }));
  }

  /** Since the start: events stored, and refused for what is wrong with them. */
  get counts(): { accepted: number; rejected: number } {
    return { accepted: LANES.reduce((sum, lane) => sum + this.#series[lane].settled, 0), rejected: this.#rejected };
  }

  /**
   * Until `signal` is aborted; then takes nothing more, waits for what was taken and closes its series. Rejects with the error of `accept`
   * if that is a bug.
   */
  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#bug.signal]);
    if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
    await Promise.all(LANES.map((lane) => this.#series[lane].close()));
    if (this.#bug.signal.aborted) throw asError(this.#bug.signal.reason);
  }

  /**
   * Takes a request's body. Resolves when those of its events that are in order are durable. Rejects with a BodyError; UNAVAILABLE or FULL
   * when nothing was stored.
   */
  async post(body: Buffer, form: BodyForm): Promise<Posted> {
    const results: EventResult[] = [];
    const events: Uint8Array[] = [];
    const refused: RefusedEvent[] = [];
    let isUrgent = false;
    let bytes = 0;
    for await (const { text, line, problem } of form === 'json' ? partsOf(body) : linesOf(body)) {
      const place = { index: results.length, ...(line !== undefined && { line }) };
      const event = this.#read(text, problem);
      if (event instanceof FondacoError) {
        results.push({ ...place, error: resultError(event) });
        refused.push(this.#refused(text, event));
      } else {
        results.push(place);
        events.push(event.bytes);
        isUrgent ||= event.severity >= SEVERITY_NUMBER[this.#options.urgent];
      }
      bytes += text.length;
      if (bytes < TURN_BYTES) continue;
      bytes = 0;
      await turn();
    }
    const rejected = results.length - events.length;
    this.#rejected += rejected;
    if (events.length === 0) {
      await this.#keep(refused);
      return { accepted: 0, rejected, results };
    }
    const { series, first } = await this.#take(events, isUrgent, refused);
    let seq = first;
    return {
      accepted: events.length,
      rejected,
      results: results.map((result) => (result.error ? result : { ...result, id: `${series}-${seq++}` })),
    };
  }

  async #take(events: readonly Uint8Array[], isUrgent: boolean, refused: readonly RefusedEvent[]): Promise<Taken> {
    try {
      return await this.#series[isUrgent ? 'urgent' : 'normal'].take(events, refused);
    } catch (error) {
      if (!isFondacoError(error)) this.#bug.abort(error);
      throw error;
    }
  }

  /** Keeps what was refused of a request that has nothing else. Its sender hears the reasons either way: while nothing can be stored, it alone. */
  async #keep(refused: readonly RefusedEvent[]): Promise<void> {
    try {
      await this.#take([], false, refused);
    } catch (error) {
      if (!isFondacoError(error)) throw error;
    }
  }

  /** What is kept of an event that is refused: its text, and what it says of itself. */
  #refused(text: string, { text: reason }: FondacoError): RefusedEvent {
    const { type, source } = membersOf(text);
    const { node, component } = this.#defaults;
    const named = typeof source === 'object' && source !== null ? (source as Record<string, unknown>) : {};
    return {
      input: 'http',
      form: 'json',
      id: '',
      type: typeof type === 'string' ? type : '',
      node: typeof named.node === 'string' ? named.node : node,
      component: typeof named.component === 'string' ? named.component : component,
      reason,
      bytes: Buffer.from(text),
    };
  }

  /** One event's bytes and severity number, or why it is rejected. */
  #read(text: string, problem: string | undefined): { bytes: Uint8Array; severity: number } | FondacoError {
    if (problem !== undefined) return new FondacoError('REJECTED', problem, { field: 'event' });
    try {
      const fields = parseEvent(text, this.#defaults, this.#options.clock.now());
      return { bytes: this.#bytes.of(fields), severity: fields.severity };
    } catch (error) {
      if (isFondacoError(error)) return error;
      throw error;
    }
  }
}

/** Of an event that may be anything. */
function membersOf(text: string): { readonly type?: unknown; readonly source?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

function resultError({ text, facts }: FondacoError): EventError {
  return { code: 'REJECTED', message: text, ...(facts.field !== undefined && { field: facts.field }) };
}

/** The events of a JSON body: one object, or an array of them. Throws BodyError. */
function* partsOf(body: Buffer): Generator<Part> {
  if (!isUtf8(body)) throw new BodyError('body must be UTF-8, got other bytes');
  const whole = body.toString('utf8');
  const text = whole.startsWith(BYTE_ORDER_MARK) ? whole.slice(1) : whole;
  const { fault, count, members } = shapeOfJson(text, EVENTS_MAX);
  if (fault !== undefined) throw new BodyError(`body must be JSON, ${describeFault(text, fault)}`);
  if (count === undefined) {
    yield { text };
    return;
  }
  if (count === 0) throw new BodyError('body must hold at least one event, got an empty array');
  if (count > EVENTS_MAX) throw tooMany(count);
  for (let i = 0; i < count; i++) yield { text: text.slice(members[2 * i], members[2 * i + 1]) };
}

/** The events of an NDJSON body. Throws BodyError, before the first of them if there are too many. */
async function* linesOf(body: Buffer): AsyncGenerator<Part> {
  const parts: Part[] = [];
  let count = 0;
  for await (const { number, text, problem } of readLines([body])) {
    if (++count <= EVENTS_MAX) parts.push({ text, line: number, ...(problem !== undefined && { problem }) });
  }
  if (count === 0) throw new BodyError('body must hold at least one event, got none');
  if (count > EVENTS_MAX) throw tooMany(count);
  yield* parts;
}

function tooMany(count: number): BodyError {
  return new BodyError(`body must hold at most ${EVENTS_MAX} events, got ${count}`, { isTooMany: true });
}
