/** The part of a proxy that takes events in, in this process, over its own port and journal: what an upstream writer is tested against. */
import { openJournal } from '../../journal/open-journal.ts';
import type { Batch, BatchReply } from '../../core/batch.ts';
import { systemClock } from '../../core/clock.ts';
import type { DecodedEvent } from '../../core/event-codec.ts';
import type { Entry, Journal } from '../../core/journal.ts';
import { LANES, perLane } from '../../core/lane.ts';
import { decodeEntry } from '../../dispatcher/decode-entry.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { formatAddress, type ListenAddress } from '../../proxy/address.ts';
import { admitForwarders } from '../../proxy/inputs/forwarders.ts';
import { GrpcInput, type GrpcInputOptions } from '../../proxy/inputs/grpc.ts';
import { tempDirectory } from './temp-directory.ts';
import { until } from './until.ts';

export interface UpperOptions {
  readonly site?: string;
  readonly directory?: string;
  readonly port?: number;
  readonly sites?: readonly string[];
  readonly access?: Pick<GrpcInputOptions, 'tls' | 'gate'>;
}

export class UpperProxy {
  readonly journal: Journal;
  readonly dispatcher: Dispatcher;
  /** What was stored, in the order of its coming. */
  readonly stored: { readonly entry: Entry; readonly event: DecodedEvent }[] = [];
  /** Every batch with its answer. */
  readonly asked: { readonly batch: Batch; readonly reply: BatchReply }[] = [];
  /** It answers no more. */
  isHanging = false;
  /** Asked before a batch is taken; what it gives is the answer. */
  answer: (batch: Batch) => Partial<BatchReply> | undefined = () => undefined;
  /** Called when a batch is stored, before it is answered. */
  onTaken: (() => void) | undefined;
  #address!: ListenAddress;
  readonly #stop = new AbortController();
  readonly #seen = perLane(() => 1);
  #running: Promise<unknown> = Promise.resolve();
  #remove: () => Promise<void> = async () => undefined;

  static async open(options: UpperOptions = {}): Promise<UpperProxy> {
    const { site = 'region-1', directory, port = 0, sites, access = {} } = options;
    const place = directory === undefined ? await tempDirectory() : { path: directory, remove: async () => undefined };
    const clock = systemClock();
    const journal = await openJournal(place.path, { clock, site, holder: 'a test' });
    const dedup = { intervalMs: 10_000, windowsMax: 1000 };
    const dispatcher = await Dispatcher.open(journal, { clock, random: Math.random, dedup, urgent: 'critical', node: 'upper' });
    const proxy = new UpperProxy(journal, dispatcher);
    proxy.#remove = place.remove;
    const accept = admitForwarders(async (batch) => proxy.#accept(batch), { site, sites });
    const address = { host: '127.0.0.1', port };
    const limits = { connectionsMax: 100 };
    const input = await GrpcInput.open({ ...limits, address, accept, journal: journal.id, isReady: () => true, clock, ...access });
    proxy.#address = input.address;
    proxy.#running = Promise.all([input.run(proxy.#stop.signal), dispatcher.run(proxy.#stop.signal)]);
    return proxy;
  }

  private constructor(journal: Journal, dispatcher: Dispatcher) {
    this.journal = journal;
    this.dispatcher = dispatcher;
    for (const lane of LANES) this.#seen[lane] = journal.head(lane);
  }

  get address(): string {
    return formatAddress(this.#address);
  }

  get port(): number {
    return 'port' in this.#address ? this.#address.port : 0;
  }

  /** The proxy's own events of a type, when there is one. */
  async own(type: string): Promise<DecodedEvent[]> {
    const found = (): DecodedEvent[] =>
      this.stored.filter(({ entry, event }) => entry.kind === 'made' && event.type === type).map(({ event }) => event);
    await until(`there is a ${type}`, async () => {
      await this.read();
      return found().length > 0;
    });
    return found();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.journal.close();
    await this.#remove();
  }

  async #accept(batch: Batch): Promise<BatchReply> {
    if (this.isHanging) return new Promise(() => undefined);
    const given = this.answer(batch);
    const empty = { series: batch.series, journal: this.journal.id, settled: batch.after, rejections: [] };
    const reply = given ? { ...empty, ...given } : await this.dispatcher.accept(batch);
    this.asked.push({ batch, reply });
    await this.read();
    this.onTaken?.();
    return reply;
  }

  /** Brings `stored` up to date. */
  async read(): Promise<void> {
    for (const lane of LANES) {
      while (this.#seen[lane] < this.journal.head(lane)) {
        const from = this.#seen[lane];
        const { entries } = await this.journal.read(lane, from, 1024 * 1024);
        if (this.#seen[lane] !== from) continue; // somebody else has read meanwhile
        for (const entry of entries) this.stored.push({ entry, event: decodeEntry(entry) });
        this.#seen[lane] = entries.at(-1)!.position + 1;
      }
    }
  }
}
