import { assert } from 'chai';
import { Recorder, type FondacoError, type RecorderOptions, type RecorderParts, type RecorderStatus } from '../../recorder/index.ts';
import { ScriptedProxy } from './scripted-proxy.ts';
import { tempDirectory } from './temp-directory.ts';

/** What a recorder's test needs: a directory, proxies and recorders that are gone afterwards, and what was reported. */
export class RecorderKit {
  readonly errors: FondacoError[] = [];
  directory = '';
  readonly #endings: (() => unknown)[] = [];

  async start(): Promise<void> {
    const { path, remove } = await tempDirectory();
    this.directory = path;
    this.#endings.push(remove);
  }

  /** `last` runs when all is closed, before the directory goes. */
  async end(last: () => void = () => undefined): Promise<void> {
    this.#endings.splice(1, 0, last);
    for (const end of this.#endings.reverse()) await end();
    this.#endings.length = 0;
    this.errors.length = 0;
  }

  async proxy(address?: string): Promise<ScriptedProxy> {
    const proxy = await ScriptedProxy.start(address);
    this.#endings.push(() => proxy.stop());
    return proxy;
  }

  /** A free address where nobody listens. */
  async nobody(): Promise<ScriptedProxy> {
    const proxy = await this.proxy();
    proxy.stop();
    return proxy;
  }

  async open(
    proxy: ScriptedProxy | readonly string[],
    options: Partial<RecorderOptions> = {},
    parts?: Partial<RecorderParts>,
  ): Promise<Recorder> {
    const recorder = await Recorder.open(
      {
        component: 'cmd',
        node: 'n1',
        proxy: proxy instanceof ScriptedProxy ? proxy.address : proxy,
        spool: { directory: this.directory },
        onError: (error) => this.errors.push(error),
        ...options,
      },
      parts,
    );
    this.#endings.push(() => recorder.close().catch(() => undefined));
    return recorder;
  }
}

/** Fails unless the recorder's books balance, in sum and for each lane. */
export function assertBalanced({ ledger, lanes }: RecorderStatus): void {
  for (const book of [ledger, lanes.urgent, lanes.normal]) {
    const { recorded, settled, spooled, queued, dropped, rejected } = book;
    assert.strictEqual(settled + spooled + queued + dropped + rejected, recorded, JSON.stringify(book));
  }
}

/** Records `m<first>` to `m<last>`, and returns the messages. */
export function recordMany(recorder: Recorder, first: number, last: number): string[] {
  const messages: string[] = [];
  for (let n = first; n <= last; n++) {
    recorder.event('test.Numbered', 'info', `m${n}`, { attributes: { n } });
    messages.push(`m${n}`);
  }
  assertBalanced(recorder.status());
  return messages;
}
