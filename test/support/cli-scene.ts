import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fondaco, start, startProxy, type Ran, type Running, type RunningProxy } from './fondaco.ts';
import { Subscriber } from './subscriber.ts';
import { tempDirectory } from './temp-directory.ts';

/** For tests of the command line: a folder of its own, a subscriber that is scripted, and a real proxy, each verb a process. */
export class CliScene {
  readonly folder: string;
  readonly subscriber: Subscriber;
  proxy: RunningProxy | undefined;
  readonly #remove: () => Promise<void>;

  static async open(): Promise<CliScene> {
    const { path, remove } = await tempDirectory();
    return new CliScene(path, await Subscriber.open(), remove);
  }

  private constructor(folder: string, subscriber: Subscriber, remove: () => Promise<void>) {
    this.folder = folder;
    this.subscriber = subscriber;
    this.#remove = remove;
  }

  /** Writes a file; returns its path. */
  write(name: string, text: string): string {
    writeFileSync(join(this.folder, name), text);
    return join(this.folder, name);
  }

  /** Starts a proxy with one writer, `ops`, at the subscriber; or with other `writers`, YAML. */
  async startProxy(writers = this.writer('ops')): Promise<RunningProxy> {
    this.write('fondaco.yaml', `site: plant-7\nlisten: { grpc: 127.0.0.1:0, http: 127.0.0.1:0 }\nwriters:\n${writers}`);
    this.proxy = await startProxy([], { cwd: this.folder });
    return this.proxy;
  }

  /** A writer at the subscriber, which retries soon. */
  writer(name: string, more = ''): string {
    const retry = 'retry: { policy: backoff, initial: 50ms, max: 100ms }';
    return `  - { name: ${name}, kind: http, url: "${this.subscriber.url}", format: json, batch: { interval: 10ms }, ${retry}${more} }\n`;
  }

  async stopProxy(): Promise<void> {
    this.proxy?.child.kill('SIGTERM');
    await this.proxy?.ended;
    this.proxy = undefined;
  }

  /** Runs a verb to its end. */
  async run(args: readonly string[], stdin: string | Buffer = ''): Promise<Ran> {
    return fondaco(args, { cwd: this.folder, stdin, env: this.env });
  }

  /** Starts a verb. */
  start(args: readonly string[]): Running {
    return start(args, { cwd: this.folder, env: this.env });
  }

  get env(): Record<string, string> {
    const spool = { FONDACO_SPOOL_DIR: join(this.folder, 'spool') };
    return this.proxy ? { ...spool, FONDACO_PROXY: this.proxy.grpc, FONDACO_API: this.proxy.api } : spool;
  }

  /** Runs a verb until what it prints is as wanted; rejects with what it printed last. */
  async runUntil(args: readonly string[], isWanted: (ran: Ran) => boolean): Promise<Ran> {
    for (let i = 0; ; i++) {
      const ran = await this.run(args);
      if (isWanted(ran)) return ran;
      if (i === 20) throw new Error(`fondaco ${args.join(' ')} did not print what was wanted: ${ran.stdout}${ran.stderr}`);
    }
  }

  async end(): Promise<void> {
    await this.stopProxy();
    await this.subscriber.close();
    await this.#remove();
  }
}
