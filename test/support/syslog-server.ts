/**
 * Real syslog servers, Debian's rsyslog and syslog-ng, that write what they understood of each message as a line of JSON. rsyslog is installed,
 * syslog-ng (whose package conflicts with it) is unpacked into .servers; scripts/setup.mjs does both.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../../demo/free-ports.ts';
import { parseElements } from '../../writers/syslog/structured-data.ts';
import { type Issued } from './certificates.ts';
import { eventOfSyslog, fromSyslog, type SyslogEvent } from './from-syslog.ts';
import { until } from './until.ts';

export type Product = 'rsyslog' | 'syslog-ng';
/** `lf` is the port for streams of lines, RFC 5424, and `rfc3164` for those of RFC 3164, which one port cannot tell apart everywhere. */
export type Port = 'udp' | 'tcp' | 'lf' | 'rfc3164' | 'tls' | 'relp';

/** One message as the server understood it. */
interface Line {
  readonly pri: string;
  readonly time: string;
  readonly host: string;
  readonly app: string;
  readonly msgid: string;
  readonly sd: string;
  readonly msg: string;
}

export interface ServerOptions {
  readonly folder: string;
  /** For the port with TLS, whose clients need a certificate of the same CA. */
  readonly certificates?: { readonly ca: string; readonly server: Issued };
}

const SYSLOG_NG = fileURLToPath(new URL('../../.servers/syslog-ng/', import.meta.url));
const PORTS = ['udp', 'tcp', 'lf', 'rfc3164', 'tls', 'relp'] as const;

/** Why a server cannot be run here; undefined if it can. */
export function missingServer(product: Product): string | undefined {
  if (product === 'rsyslog') {
    const isThere = rsyslogd() !== undefined && ['imrelp', 'lmnsd_ossl'].every((name) => hasModule(name));
    return isThere ? undefined : 'needs rsyslog, rsyslog-relp and rsyslog-openssl (npm test installs them as root on Debian)';
  }
  return existsSync(join(SYSLOG_NG, 'usr/sbin/syslog-ng'))
    ? undefined
    : 'needs syslog-ng in .servers (npm test unpacks it as root on Debian)';
}

export class SyslogServer {
  readonly ports: Readonly<Record<Port, number>>;
  readonly #product: Product;
  readonly #folder: string;
  readonly #isTls: boolean;
  #process: ChildProcess | undefined;
  #said = '';

  /** Ports are its own for ever; nothing listens yet. */
  static async reserve(product: Product, { folder, certificates }: ServerOptions): Promise<SyslogServer> {
    const numbers = await freePorts(PORTS.length, Math.random);
    const ports = Object.fromEntries(PORTS.map((name, i) => [name, numbers[i]!])) as Record<Port, number>;
    const server = new SyslogServer(product, { folder, isTls: certificates !== undefined, ports });
    writeFileSync(
      join(folder, 'conf'),
      product === 'rsyslog' ? rsyslogConf(folder, ports, certificates) : syslogNgConf(folder, ports, certificates),
    );
    return server;
  }

  static async start(product: Product, options: ServerOptions): Promise<SyslogServer> {
    const server = await SyslogServer.reserve(product, options);
    await server.start();
    return server;
  }

  private constructor(product: Product, { folder, isTls, ports }: { folder: string; isTls: boolean; ports: Record<Port, number> }) {
    this.#product = product;
    this.#folder = folder;
    this.#isTls = isTls;
    this.ports = ports;
  }

  /** Resolves when every port is there. */
  async start(): Promise<void> {
    const child = this.#product === 'rsyslog' ? spawnRsyslog(this.#folder) : spawnSyslogNg(this.#folder);
    this.#process = child;
    const hear = (text: Buffer): void => void (this.#said += String(text));
    child.stdout!.on('data', hear);
    child.stderr!.on('data', hear);
    const streams: Port[] = [
      'tcp',
      'lf',
      'rfc3164',
      ...(this.#isTls ? ['tls' as const] : []),
      ...(this.#product === 'rsyslog' ? ['relp' as const] : []),
    ];
    await until(`${this.#product} listens`, async () => {
      if (child.exitCode !== null) throw new Error(`${this.#product} ended: ${this.#said}`);
      return (await Promise.all(streams.map((name) => listens(this.ports[name])))).every(Boolean) && isBound(this.ports.udp);
    });
  }

  /** By SIGTERM, as an operator does, or by SIGKILL. Resolves when it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  /** What it has written by now; a line that it has not finished is left out. */
  get events(): SyslogEvent[] {
    return this.lines.map((line) => eventOfLine(line));
  }

  get lines(): Line[] {
    const file = join(this.#folder, 'out');
    if (!existsSync(file)) return [];
    const text = readFileSync(file, 'utf8');
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  }

  /** How many lines it has written by now. */
  get count(): number {
    const file = join(this.#folder, 'out');
    if (!existsSync(file)) return 0;
    let count = 0;
    for (const byte of readFileSync(file)) if (byte === 10) count++;
    return count;
  }
}

/** A message of RFC 3164 has its structured data behind its text, which servers know nothing of. */
function eventOfLine({ pri, time, host, app, sd, msg }: Line): SyslogEvent {
  // A message of RFC 3164, or what a broken connection has left of one.
  if (!sd.startsWith('[')) return fromSyslog(`<${pri}>Nov 22 08:00:00 ${host} ${app.replace(/:$/, '')}: ${msg.replace(/^ /, '')}`);
  const { elements } = parseElements(sd)!;
  return eventOfSyslog({ severity: Number(pri) % 8, timestamp: utc(time), elements, text: msg.replace(/^\uFEFF/, '') });
}

/** As we write a time: with Z, and without the zeros that some add. */
function utc(time: string): string {
  return time.replace('+00:00', 'Z');
}

function rsyslogd(): string | undefined {
  return [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']
    .map((folder) => join(folder, 'rsyslogd'))
    .find((path) => existsSync(path));
}

function hasModule(name: string): boolean {
  const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((folder) => folder.endsWith('-linux-gnu')) : [];
  return folders.some((folder) => existsSync(join('/usr/lib', folder, 'rsyslog', `${name}.so`)));
}

function spawnRsyslog(folder: string): ChildProcess {
  return spawn(rsyslogd()!, ['-n', '-C', '-f', join(folder, 'conf'), '-i', join(folder, 'pid')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TZ: 'UTC' },
  });
}

function spawnSyslogNg(folder: string): ChildProcess {
  const libraries = ['usr/lib/syslog-ng', ...multiarch('usr/lib'), ...multiarch('lib')].map((path) => join(SYSLOG_NG, path));
  const modules = readdirSync(join(SYSLOG_NG, 'usr/lib/syslog-ng'))
    .filter((name) => /^\d/.test(name))
    .map((name) => join(SYSLOG_NG, 'usr/lib/syslog-ng', name));
  const at = (name: string): string => join(folder, name);
  const files = ['-f', at('conf'), '-R', at('persist'), '-c', at('control'), '-p', at('pid')];
  return spawn(join(SYSLOG_NG, 'usr/sbin/syslog-ng'), ['-F', '--no-caps', '--module-path', modules.join(':'), ...files], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TZ: 'UTC', LD_LIBRARY_PATH: libraries.join(':') },
  });
}

function multiarch(folder: string): string[] {
  const path = join(SYSLOG_NG, folder);
  return existsSync(path)
    ? readdirSync(path)
        .filter((name) => name.endsWith('-linux-gnu'))
        .map((name) => join(folder, name))
    : [];
}

/** Messages are written before they are answered, or before more is read: what its own queues would lose is not ours to test. */
function rsyslogConf(folder: string, ports: Record<Port, number>, certificates: ServerOptions['certificates']): string {
  const at = (name: string): string => join(folder, name);
  const input = (type: string, name: Port, more = ''): string =>
    `input(type="${type}" address="127.0.0.1" port="${ports[name]}" ruleset="write"${more})`;
  const files = certificates
    ? ` defaultNetstreamDriverCAFile="${certificates.ca}" defaultNetstreamDriverCertFile="${certificates.server.cert}"` +
      ` defaultNetstreamDriverKeyFile="${certificates.server.key}"`
    : '';
  const fields = [
    ['pri', 'pri', ''],
    ['time', 'timereported', ' dateFormat="rfc3339"'],
    ['host', 'hostname', ''],
    ['app', 'syslogtag', ''],
    ['msgid', 'msgid', ''],
    ['sd', 'structured-data', ''],
    ['msg', 'msg', ''],
  ].map(([key, name, more]) => `property(outname="${key}" name="${name}"${more} format="jsonf")`);
  return [
    `global(workDirectory="${folder}" maxMessageSize="256k"${files})`,
    ...['imudp', 'imtcp', 'imrelp'].map((name) => `module(load="${name}")`),
    `template(name="line" type="list" option.jsonf="on") { ${fields.join(' ')} }`,
    `ruleset(name="write" queue.type="direct") { action(type="omfile" file="${at('out')}" template="line") }`,
    input('imudp', 'udp', ' rcvbufSize="16m"'),
    ...(['tcp', 'lf', 'rfc3164'] as const).map((name) => input('imtcp', name)),
    input('imrelp', 'relp', ' maxDataSize="256k"'),
    certificates ? input('imtcp', 'tls', ' streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"') : '',
    'ruleset(name="own") { action(type="omfile" file="/dev/stderr") }',
    '$DefaultRuleset own',
    '',
  ].join('\n');
}

function syslogNgConf(folder: string, ports: Record<Port, number>, certificates: ServerOptions['certificates']): string {
  const place = (name: Port): string => `ip("127.0.0.1") port(${ports[name]})`;
  // By default ten, which the knocking of `start` may use up on a busy machine.
  const many = 'max-connections(1000)';
  const tls = certificates
    ? `syslog(${place('tls')} transport("tls") ${many} tls(ca-file("${certificates.ca}") cert-file("${certificates.server.cert}")` +
      ` key-file("${certificates.server.key}") peer-verify(required-trusted)));`
    : '';
  return [
    '@version: 3.38',
    'options { keep-hostname(yes); use-dns(no); log-msg-size(262144); stats-freq(0); threaded(yes); };',
    'source sent {',
    `  syslog(${place('udp')} transport("udp") so-rcvbuf(16777216));`,
    `  syslog(${place('tcp')} transport("tcp") ${many});`,
    `  network(${place('lf')} transport("tcp") flags(syslog-protocol) ${many});`,
    `  network(${place('rfc3164')} transport("tcp") ${many});`,
    `  ${tls}`,
    '};',
    'destination written {',
    `  file("${join(folder, 'out')}" template("$(format-json pri=$PRI time=$S_ISODATE host=$HOST app=$PROGRAM msgid=$MSGID sd=$SDATA msg=$MESSAGE)\\n") frac-digits(6));`,
    '};',
    'log { source(sent); destination(written); flags(flow-control); };',
    '',
  ].join('\n');
}

async function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function isBound(udpPort: number): boolean {
  const hex = udpPort.toString(16).toUpperCase().padStart(4, '0');
  return new RegExp(`^\\s*\\d+: [0-9A-F]+:${hex} `, 'm').test(readFileSync('/proc/net/udp', 'utf8'));
}
