/** What a writer of kind `syslog` may be told. */
import { isIPv6 } from 'node:net';
import { z } from 'zod';
import { duration, flag, leaf, oneOf, size, text, wholeNumber, type SettingProblem } from '../settings.ts';
import { tlsProblems, tlsSettings } from '../tls-files.ts';
import { FACILITIES } from './priority.ts';

/** The largest payload of a datagram over IPv4. */
const UDP_BYTES_MAX = 65_507;
const DEFAULT_PORT = { udp: 514, tcp: 514, tls: 6514, relp: 2514 } as const;
/** In events: two batches of the default size. */
const RESEND_WINDOW = 1000;
/** In messages, as librelp has it. */
const RELP_WINDOW = 128;
const CONNECT_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;

const timeLimit = (): z.ZodType<number> => duration({ min: '100ms', max: '10m' });
/** Text in which {site}, {node} and {component} stand for those of the event's source. */
const template = (): z.ZodType<string> =>
  text('printable ASCII without spaces, in which {site}, {node} and {component} may stand', (value) => {
    const rest = value.replace(/\{(site|node|component)\}/g, '');
    return value !== '' && /^[\x21-\x7e]*$/.test(rest) && !/[{}]/.test(rest);
  });

export const syslogSettings = z.strictObject({
  /** Where the server listens. The port is 514, 6514 with `tls` and 2514 with `relp` unless told. */
  address: text('host:port, or a host', (value) => parseAddress(value) !== undefined),
  /** `relp` becomes RELP over TLS when `tls` is there. */
  transport: oneOf('udp', 'tcp', 'tls', 'relp'),
  format: oneOf('rfc5424', 'rfc3164').default('rfc5424'),
  /** Of `tcp` and `tls`: RFC 6587; octet-counting unless told. */
  framing: oneOf('octet-counting', 'lf').optional(),
  facility: oneOf(...FACILITIES).default('local0'),
  /** Another facility for some event types: a pattern such as `auth.*` and a facility; the first that fits counts. */
  facilities: z
    .record(
      text("an event type or a pattern such as 'auth.*'", (value) => value !== ''),
      oneOf(...FACILITIES),
    )
    .default({}),
  hostname: template().default('{node}'),
  appName: template().default('{component}'),
  /** SD-ID of the structured data: a name and a private enterprise number (RFC 5612 keeps 32473 for documentation). */
  sdId: text('1 to 32 characters, such as events@32473', (value) => /^[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}$/.test(value)).default(
    'fondaco@32473',
  ),
  /** A message is no larger: what is more is cut, and marked. 8 KiB is what rsyslog takes unless told otherwise. */
  bytesMax: size({ min: '1KiB', max: '1MiB' }).default(8192),
  /** Of `rfc5424`: whether a message that is not ASCII begins with a byte order mark, as RFC 5424 section 6.4 asks; true unless told. */
  bom: flag().optional(),
  /** Of `rfc3164`, whose times name no zone; UTC unless told. */
  timezone: oneOf('utc', 'local').optional(),
  tls: tlsSettings.optional(),
  /** Of `tcp` and `tls`: so many of the last events are sent again when the connection breaks; 1000 unless told. */
  resendWindow: wholeNumber({ min: 0, max: 1_000_000 }).optional(),
  /** Of `relp`: so many messages may be without an answer; 128 unless told. */
  relpWindow: leaf('a whole number from 1 to 10000', { type: 'integer', minimum: 1, maximum: 10_000 }, (value) => {
    const number = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= 10_000 ? number : undefined;
  }).optional(),
  /** After so long without traffic the kernel begins to ask whether the other side is there; not of `udp`. 30 s unless told. */
  keepAlive: duration({ min: '1s', max: '2h' }).optional(),
  /** For a batch, the connection and, with `relp`, all answers included. */
  timeout: timeLimit().default(60_000),
  /** For the connection, TLS included; at most `timeout`. */
  connectTimeout: timeLimit().optional(),
});

export type SyslogSettings = z.output<typeof syslogSettings>;

/** What is wrong with settings that are right one by one. */
export function syslogProblems(settings: SyslogSettings): SettingProblem[] {
  const { transport, format, bytesMax, timeout, connectTimeout = 0, tls } = settings;
  const problems: SettingProblem[] = [];
  const onlyFor = (key: keyof SyslogSettings, isMeant: boolean, what: string): void => {
    if (settings[key] !== undefined && !isMeant) problems.push({ key: [key], message: `must stand beside ${what} only` });
  };
  const isStream = transport === 'tcp' || transport === 'tls';
  onlyFor('framing', isStream, 'transport tcp or tls');
  onlyFor('resendWindow', isStream, 'transport tcp or tls');
  onlyFor('relpWindow', transport === 'relp', 'transport relp');
  onlyFor('keepAlive', transport !== 'udp', 'transport tcp, tls or relp');
  onlyFor('connectTimeout', transport !== 'udp', 'transport tcp, tls or relp');
  onlyFor('tls', transport === 'tls' || transport === 'relp', 'transport tls or relp');
  onlyFor('bom', format === 'rfc5424', 'format rfc5424');
  onlyFor('timezone', format === 'rfc3164', 'format rfc3164');
  if (tls) problems.push(...tlsProblems(tls).map(({ key, message }) => ({ key: ['tls', ...key], message })));
  if (transport === 'udp' && bytesMax > UDP_BYTES_MAX) {
    problems.push({ key: ['bytesMax'], message: `must be at most ${UDP_BYTES_MAX} bytes with transport udp, which no datagram exceeds` });
  }
  if (connectTimeout > timeout) problems.push({ key: ['connectTimeout'], message: 'must be at most timeout' });
  return problems;
}

/** The settings with every default that depends on others. */
export interface Resolved extends SyslogSettings {
  readonly host: string;
  readonly port: number;
  readonly resendWindow: number;
  readonly relpWindow: number;
  readonly keepAlive: number;
  readonly connectTimeout: number;
}

export function resolved(settings: SyslogSettings): Resolved {
  const { host, port = DEFAULT_PORT[settings.transport] } = parseAddress(settings.address)!;
  const { resendWindow = RESEND_WINDOW, relpWindow = RELP_WINDOW, keepAlive = KEEP_ALIVE_MS } = settings;
  const { connectTimeout = Math.min(CONNECT_MS, settings.timeout) } = settings;
  return { ...settings, host, port, resendWindow, relpWindow, keepAlive, connectTimeout };
}

/** What a delivery over the transport is worth, in words. */
export function syslogPromise(settings: SyslogSettings): string {
  if (settings.transport === 'udp') return 'best effort';
  return settings.transport === 'relp' ? 'at least once' : `at least once within ${resolved(settings).resendWindow} events`;
}

/** `host`, `host:port`, `[::1]:port`, `::1`; undefined for anything else. */
function parseAddress(address: string): { host: string; port?: number } | undefined {
  if (isIPv6(address)) return { host: address };
  const [, bracketed, name, digits] = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(address) ?? [];
  const host = bracketed ?? name;
  if (host === undefined || (bracketed !== undefined && !isIPv6(bracketed))) return undefined;
  if (digits === undefined) return { host };
  const port = Number(digits);
  return port >= 1 && port <= 65_535 ? { host, port } : undefined;
}
