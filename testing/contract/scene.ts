import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import { asError, FondacoError, isFondacoError } from '../../core/errors.ts';
import { LANES } from '../../core/lane.ts';
import type { Delivery, Writer } from '../../core/writer.ts';
import { freezeDelivery } from '../../writers/freeze-delivery.ts';
import type { WriterContractOptions } from '../writer-contract.ts';
import { assertReceived, must, RECEIVED_FIELDS, shown, type Received, type ReceivedField, type Resend } from './received.ts';

/** What a hook of the destination is called. */
export type Hook = 'payloads' | 'hang' | 'recover' | 'slow' | 'loseReply' | 'failAfter' | 'poison' | 'restart' | 'openUnreachable';

const LOOK_MS = 5;
const NOTE_BYTES_MAX = 4096;
const never: AbortSignal = new AbortController().signal;

/** One case's destination, with a writer to it. Whatever is waited for has a limit. */
export class Scene<D = unknown> {
  readonly #options: WriterContractOptions<D>;
  readonly #destination: D;
  /** Every writer that was opened, and not closed. */
  readonly #open = new Set<Writer>();
  /** What was taken, in order, and again where it was. */
  readonly #sent: Delivery[] = [];
  #writer: Writer;

  static async open<D>(options: WriterContractOptions<D>): Promise<Scene<D>> {
    const { withinMs = WITHIN_MS } = options;
    const destination = await within(withinMs, 'open a destination', async () => options.open());
    try {
      return new Scene(options, destination, await openedWriter(options, destination));
    } catch (error) {
      await within(withinMs, 'close the destination', async () => options.close(destination)).catch(() => undefined);
      throw error;
    }
  }

  private constructor(options: WriterContractOptions<D>, destination: D, writer: Writer) {
    this.#options = options;
    this.#destination = destination;
    this.#writer = writer;
    this.#open.add(writer);
  }

  /** The writer as it is now: another one after `nextLife`. */
  get writer(): Writer {
    return this.#writer;
  }

  get resend(): Resend {
    return this.#options.resend ?? 'at-least-once';
  }

  /** Whether a write that resolves says that the destination has it. */
  get isAcknowledged(): boolean {
    return this.resend !== 'best-effort' && this.#writer.resendWindow === undefined;
  }

  get withinMs(): number {
    return this.#options.withinMs ?? WITHIN_MS;
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    try {
      for (const writer of this.#open) await this.within('close', async () => writer.close?.());
    } finally {
      await this.within('close the destination', async () => this.#options.close(this.#destination));
    }
  }

  /** Has the destination do what a hook says; gives what the hook gives. */
  async ask(hook: Exclude<Hook, 'openUnreachable' | 'failAfter'>): Promise<unknown> {
    return this.within(hook, async () => this.#options[hook]!(this.#destination));
  }

  async failAfter(count: number): Promise<void> {
    await this.within('failAfter', async () => this.#options.failAfter!(this.#destination, count));
  }

  async unreachable(): Promise<Writer> {
    const writer = await this.within('open a writer to nobody', async () => this.#options.openUnreachable!());
    this.#open.add(writer);
    return writer;
  }

  /** Writes what must be taken. */
  async write(batch: readonly Delivery[], signal: AbortSignal = never): Promise<void> {
    await this.within('a write', async () => this.#write(batch, signal), 'settle');
    this.#sent.push(...batch);
  }

  /** What a write rejects with; a plain error is UNAVAILABLE, as it is to a feed. Undefined where it resolves. */
  async attempt(batch: readonly Delivery[], signal: AbortSignal = never, writer: Writer = this.#writer): Promise<FondacoError | undefined> {
    return this.within(
      signal.aborted ? 'a write that is aborted' : 'a write',
      async () => {
        try {
          await this.#write(batch, signal, writer);
          return undefined;
        } catch (error) {
          return isFondacoError(error) ? error : new FondacoError('UNAVAILABLE', asError(error).message, { cause: error });
        }
      },
      'settle',
    );
  }

  /** Delivers as a feed does: after UNAVAILABLE again, and without acknowledgements again from where it is not known. */
  async deliver(batch: readonly Delivery[]): Promise<void> {
    const window = this.#writer.resendWindow ?? 0;
    const all = window === 0 ? batch : [...this.#sent.slice(-window), ...batch];
    await this.#until('all of a batch is delivered', async (isFirst) => {
      const error = await this.attempt(isFirst ? batch : all);
      if (error) must(error.code === 'UNAVAILABLE', `what passes must be UNAVAILABLE, got ${error.message}`);
      return error === undefined && (window === 0 || (await this.#holds(batch)));
    });
    this.#sent.push(...batch);
  }

  /** Another writer to the same place, as after a restart of the proxy. */
  async nextLife(): Promise<void> {
    const notes = LANES.map((lane) => [lane, this.#writer.note?.(lane)] as const);
    await this.within('close', async () => this.#writer.close?.());
    this.#open.delete(this.#writer);
    this.#writer = await openedWriter(this.#options, this.#destination);
    this.#open.add(this.#writer);
    for (const [lane, note] of notes) {
      if (note === undefined) continue;
      must(Buffer.byteLength(note) <= NOTE_BYTES_MAX, `a note must have 4 KiB at most, got ${Buffer.byteLength(note)} bytes`);
      this.#writer.recall?.(lane, note);
    }
  }

  async received(): Promise<readonly Received[]> {
    const received: unknown = await this.within('received', async () => this.#options.received(this.#destination));
    must(Array.isArray(received), `received must give an array of events, got ${shown(received)}`);
    return received as readonly Received[];
  }

  /** Of all payloads from `from` on, the bytes; and how many there are. */
  async payloads(from = 0): Promise<{ readonly bytes: Buffer; readonly count: number }> {
    const all = (await this.ask('payloads')) as readonly (Uint8Array | string)[];
    return { bytes: Buffer.concat(all.slice(from).map((each) => Buffer.from(each as Uint8Array))), count: all.length };
  }

  /** The destination has what was sent, by its rule. Where nothing is acknowledged, it is given time. */
  async has(
    sent: readonly Delivery[],
    { repeats = [], isBroken = false }: { repeats?: readonly Delivery[]; isBroken?: boolean } = {},
  ): Promise<void> {
    if (!(isBroken && this.resend === 'best-effort')) await this.settles(sent);
    assertReceived(await this.received(), sent, { resend: this.resend, keeps: this.#keeps, repeats, isBroken });
  }

  /** The same of two lanes, which are in no order to each other. */
  async hasLanes(...lanes: readonly (readonly Delivery[])[]): Promise<void> {
    await this.settles(lanes.flat());
    const received = await this.received();
    const laneOf = new Map(lanes.flatMap((sent, lane) => sent.map(({ event }) => [event.id, lane] as const)));
    for (const [lane, sent] of lanes.entries()) {
      const others = received.filter(({ id }) => laneOf.get(id) !== lane && laneOf.has(id));
      assertReceived(
        received.filter((each) => !others.includes(each)),
        sent,
        { resend: this.resend, keeps: this.#keeps },
      );
    }
  }

  /** Where nothing is acknowledged: resolves when all that was written is there, or when it has had enough time. */
  async settles(sent: readonly Delivery[] = []): Promise<void> {
    if (this.isAcknowledged) return;
    await this.#until('', async () => {
      const received = await this.received();
      return received.length >= this.#sent.length && hasAll(received, sent);
    }).catch(() => undefined);
  }

  get #keeps(): readonly ReceivedField[] {
    return this.#options.keeps ?? RECEIVED_FIELDS;
  }

  async within<T>(what: string, work: () => Promise<T>, verb = ''): Promise<T> {
    return within(this.withinMs, verb === '' ? what : `${what} ${verb}`, work);
  }

  async #write(batch: readonly Delivery[], signal: AbortSignal, writer = this.#writer): Promise<void> {
    for (const delivery of batch) freezeDelivery(delivery);
    await writer.write([...batch], signal);
  }

  /** Whether all of a batch arrives, before the connection that took it is known to have ended. */
  async #holds(batch: readonly Delivery[]): Promise<boolean> {
    let isThere = false;
    await this.#until('a batch has arrived', async () => {
      isThere = hasAll(await this.received(), batch);
      return isThere || this.#writer.hasBroken?.(batch[0]!.delivery.lane) === true;
    });
    return isThere;
  }

  async #until(what: string, isDone: (isFirst: boolean) => Promise<boolean>): Promise<void> {
    const over = AbortSignal.timeout(this.withinMs);
    for (let isFirst = true; !(await isDone(isFirst)); isFirst = false) {
      must(!over.aborted, `within ${this.withinMs} ms it must be that ${what}`);
      await pause(LOOK_MS);
    }
  }
}

/** As long as a feed waits for a writer that is aborted. */
export const WITHIN_MS = 10_000;

/** Lets what was begun get as far as it does without waiting, or for some milliseconds. */
export async function letGo(ms = 0): Promise<void> {
  await (ms === 0 ? turn() : pause(ms));
}

function hasAll(received: readonly Received[], sent: readonly Delivery[]): boolean {
  const ids = new Set(received.map(({ id }) => id));
  return sent.every(({ event }) => ids.has(event.id));
}

async function openedWriter<D>(options: WriterContractOptions<D>, destination: D): Promise<Writer> {
  const { withinMs = WITHIN_MS } = options;
  const writer: unknown = await within(withinMs, 'open a writer', async () => options.openWriter(destination));
  const isWriter = typeof writer === 'object' && writer !== null && typeof (writer as Partial<Writer>).write === 'function';
  must(isWriter, `openWriter must give an object with write(batch, signal), got ${shown(writer)}`);
  return writer as Writer;
}

async function within<T>(limitMs: number, what: string, work: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = pause(limitMs, undefined, { signal: over.signal }).then((): T => {
    throw new Error(`${what}: it must be done within ${limitMs} ms, got nothing`);
  });
  late.catch(() => undefined);
  return Promise.race([work(), late]).finally(() => over.abort());
}
