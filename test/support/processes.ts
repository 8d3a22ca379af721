/** Real processes of ours, for system tests: started on free ports with their own folders, waited for, stopped by pid. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { Verification } from '../../dispatcher/ledger/ledger-verify.ts';
import type { ProxyStatus } from '../../proxy/status.ts';
import { freePorts } from '../../demo/free-ports.ts';
import { programArgs } from './program.ts';
import { until } from './until.ts';

/** Below the ephemeral range: a recorder that knocks on a killed proxy's port must not be given that very port for its own end. */
async function twoPorts(): Promise<[number, number]> {
  const [grpc = 0, http = 0] = await freePorts(2, Math.random);
  return [grpc, http];
}

const START_MS = 90_000;
const TSX = import.meta.resolve('tsx');

export interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly env?: Record<string, string>;
  /** A program, with arguments, that runs another in its own process: its pid is the other's. */
  readonly under?: readonly string[];
}

/** A child of ours. */
export class Child {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<Run>;

  /** `args`: what Node is given. */
  private constructor(args: readonly string[], env: Record<string, string> = {}, under: readonly string[] = []) {
    const [program = '', ...rest] = [...under, process.execPath, ...args];
    this.process = spawn(program, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...env },
    });
    this.process.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.process.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve) => {
      this.process.on('close', (code, signal) => resolve({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** A program of the tests or of demo/, in TypeScript. */
  static script(file: string, args: readonly string[], env?: Record<string, string>): Child {
    return new Child(['--import', TSX, file, ...args], env);
  }

  static cli(...args: string[]): Child {
    return Child.program(args);
  }

  /** `fondaco` with these arguments. */
  static program(args: readonly string[], { env, under }: ProgramOptions = {}): Child {
    return new Child([...programArgs(), ...args], env, under);
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** The lines of stdout that are JSON and have the key. */
  lines(key: string): Record<string, unknown>[] {
    return this.stdout
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => key in line);
  }

  async kill(signal: NodeJS.Signals): Promise<Run> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    return this.ended;
  }
}

/** A proxy that may be killed and started again, at the same place. */
export class ProxyProcess {
  readonly folder: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly #site: string;
  #child: Child | undefined;

  /** `yaml`: what the config has beside site, data and listen. */
  static async prepare(folder: string, yaml: string, site = 'plant-7'): Promise<ProxyProcess> {
    const proxy = new ProxyProcess(folder, site, ...(await twoPorts()));
    await proxy.configure(yaml);
    return proxy;
  }

  static async start(folder: string, yaml: string): Promise<ProxyProcess> {
    const proxy = await ProxyProcess.prepare(folder, yaml);
    await proxy.start();
    return proxy;
  }

  private constructor(folder: string, site: string, grpcPort: number, httpPort: number) {
    this.folder = folder;
    this.#site = site;
    this.grpcPort = grpcPort;
    this.httpPort = httpPort;
  }

  async configure(yaml: string): Promise<void> {
    const listen = `listen: { grpc: "127.0.0.1:${this.grpcPort}", http: "127.0.0.1:${this.httpPort}" }`;
    await writeFile(join(this.folder, 'fondaco.yaml'), `site: ${this.#site}\ndata: ./data\n${listen}\n${yaml}\n`);
  }

  get address(): string {
    return `127.0.0.1:${this.grpcPort}`;
  }

  get api(): string {
    return `http://127.0.0.1:${this.httpPort}`;
  }

  get isStarted(): boolean {
    return this.#child !== undefined;
  }

  get child(): Child {
    if (!this.#child) throw new Error('the proxy was not started');
    return this.#child;
  }

  /** Resolves when it is ready; rejects if it ends before. */
  async start(options?: ProgramOptions): Promise<void> {
    const child = Child.program(['proxy', '--config', join(this.folder, 'fondaco.yaml')], options);
    this.#child = child;
    await until(
      'the proxy is ready',
      async () => {
        if (child.process.exitCode !== null || child.process.signalCode !== null)
          throw new Error(`the proxy ended: ${child.stdout}${child.stderr}`);
        return this.#isReady();
      },
      START_MS,
    );
  }

  /** SIGKILL, and gone. */
  async kill(): Promise<void> {
    await this.child.kill('SIGKILL');
  }

  /** SIGTERM; the exit code. */
  async stop(): Promise<number | null> {
    return (await this.child.kill('SIGTERM')).code;
  }

  async ledger(): Promise<Ledger> {
    return (await (await fetch(`${this.api}/v1/ledger`)).json()) as Ledger;
  }

  /** The books held against what is there. */
  async verify(): Promise<Verification> {
    return (await (await fetch(`${this.api}/v1/ledger/verify`)).json()) as Verification;
  }

  async status(): Promise<ProxyStatus> {
    return (await (await fetch(`${this.api}/v1/status`)).json()) as ProxyStatus;
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.api}/readyz`)).ok;
    } catch {
      return false; // not listening yet
    }
  }
}
