/** One rsyslog with a place for each transport, and one syslog-ng. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '../../support/certificates.ts';
import { SyslogServer, type Product } from '../../support/syslog-server.ts';
import { TcpTap } from '../../support/tcp-tap.ts';
import { arrivedSyslog, type Arrived } from './arrived.ts';
import { TWO_BATCHES, WRITE_MS, type Place, type Rule } from './place.ts';

/** Of TCP and TLS: more than the kernels hold of what a server has not read. */
const RESEND_WINDOW = 3000;

type Transport = 'relp' | 'tcp' | 'tls' | 'udp';
/** By writer. */
const WAYS: Readonly<Record<string, { readonly product: Product; readonly transport: Transport; readonly rule: Rule }>> = {
  relp: { product: 'rsyslog', transport: 'relp', rule: 'at least once' },
  tcp: { product: 'rsyslog', transport: 'tcp', rule: 'at least once' },
  tls: { product: 'rsyslog', transport: 'tls', rule: 'at least once' },
  udp: { product: 'rsyslog', transport: 'udp', rule: 'best effort' },
  'syslog-ng': { product: 'syslog-ng', transport: 'tcp', rule: 'at least once' },
};
export const SYSLOG_NAMES: readonly string[] = Object.keys(WAYS);

/** Those of `names` that are syslog's. */
export async function openSyslogPlaces(names: readonly string[], folder: string): Promise<Place[]> {
  const places: Place[] = [];
  for (const product of ['rsyslog', 'syslog-ng'] as const) {
    const mine = names.filter((name) => WAYS[name]?.product === product);
    if (mine.length === 0) continue;
    const home = join(folder, product);
    mkdirSync(home);
    const shared = await SharedServer.start(product, { folder: home, isTls: mine.includes('tls') });
    for (const name of mine) places.push(await shared.place(name));
  }
  return places;
}

/** A server that several writers write to: it is restarted for all of them at once. */
class SharedServer {
  readonly #server: SyslogServer;
  readonly #tls: string;
  #restarting: Promise<void> | undefined;
  #users = 0;

  static async start(product: Product, { folder, isTls }: { folder: string; isTls: boolean }): Promise<SharedServer> {
    if (!isTls) return new SharedServer(await SyslogServer.start(product, { folder }), '');
    const authority = new Authority(folder);
    const client = authority.issue('client');
    const server = await SyslogServer.start(product, { folder, certificates: { ca: authority.ca, server: authority.issue('server') } });
    return new SharedServer(server, `, tls: { ca: "${authority.ca}", cert: "${client.cert}", key: "${client.key}" }`);
  }

  private constructor(server: SyslogServer, tls: string) {
    this.#server = server;
    this.#tls = tls;
  }

  async place(name: string): Promise<Place> {
    const { transport, rule } = WAYS[name]!;
    const port = this.#server.ports[transport];
    const tap = transport === 'udp' ? undefined : await TcpTap.open(port);
    const isWindowed = transport === 'tcp' || transport === 'tls';
    const more = `${isWindowed ? `, resendWindow: ${RESEND_WINDOW}` : ''}${transport === 'tls' ? this.#tls : ''}`;
    this.#users++;
    return {
      name,
      rule,
      inFlight: (isWindowed ? RESEND_WINDOW : 0) + TWO_BATCHES,
      isWindowed,
      yaml: `kind: syslog, transport: ${transport}, address: "${tap?.address ?? `127.0.0.1:${port}`}", timeout: ${WRITE_MS}ms${more}`,
      ...(tap && { tap }),
      restart: async () => this.#restart(),
      arrived: async () => this.#arrived(name),
      close: async () => {
        await tap?.close();
        if (--this.#users === 0) await this.#server.stop('SIGKILL');
      },
    };
  }

  async #arrived(name: string): Promise<Arrived[]> {
    return this.#server.events.filter(({ writer }) => writer === name).map(arrivedSyslog);
  }

  async #restart(): Promise<void> {
    this.#restarting ??= (async () => {
      await this.#server.stop('SIGKILL');
      await this.#server.start();
      this.#restarting = undefined;
    })();
    return this.#restarting;
  }
}
