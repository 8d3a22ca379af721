import { access, constants } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Catalog } from '../core/catalog.ts';
import { asError, FondacoError } from '../core/errors.ts';
import { LIMITS } from '../core/event.ts';
import { SEVERITIES, SEVERITY_NUMBER, type Severity } from '../core/severity.ts';
import { TypeRules } from '../core/type-rules.ts';
import type { LinkSecurity } from '../proto/record-client.ts';
import { checkSecurity, type TlsOptions } from './security.ts';
import { makeDirectory } from '../journal/make-directory.ts';

/** How a recorder is set up. Only `component` is required. */
export interface RecorderOptions {
  /** What records: the `component` of every event's source, and the name under which spools are found again. 1 to 256 bytes. */
  readonly component: string;
  /** The machine: the `node` of every event's source. Default: the host's name. */
  readonly node?: string;
  /**
   * The event types that may be recorded, made by `defineCatalog` or `loadCatalogs`: others are refused, and where a call gives no severity or
   * dedupKey, its type's are taken. Default: any type.
   */
  readonly catalogs?: readonly Catalog[];
  /** One or several proxies, `host:port` or `unix:/path`, tried in this order. Default: `FONDACO_PROXY` (comma-separated), then `127.0.0.1:7070`. */
  readonly proxy?: string | readonly string[];
  /**
   * TLS to the proxy: `true` trusts the CAs that Node trusts, an object says more, `false` means none. Default: what `FONDACO_CA`, `FONDACO_CERT`
   * and `FONDACO_KEY` name, files in PEM; none without them.
   */
  readonly tls?: boolean | TlsOptions;
  /**
   * What the proxy wants to see of its callers (`listen.token` in its config). Default: `FONDACO_TOKEN`, then what is in the file
   * `FONDACO_TOKEN_FILE`. Is not sent to another machine without TLS: that is a CONFIG error.
   */
  readonly token?: string;
  /** Where events go while no proxy takes them; `false`: memory only. */
  readonly spool?: false | SpoolOptions;
  /**
   * `memory` (default): an event goes to disk when the proxy does not take it in time, so SIGKILL costs what was recorded in the last 250 ms.
   * `spool`: to disk first, in group commits.
   */
  readonly durability?: 'memory' | 'spool';
  /** The lowest severity that is urgent and overtakes what is not. Default: `critical`. */
  readonly urgent?: Severity;
  /**
   * Signals on which what is held is flushed, for at most 2 s, and the signal then raised again (unless the host listens to it itself).
   * Events are taken until then; what is left goes to the exit file. Node runs no exit listeners on a signal that
   * nobody listens to, so without this SIGTERM costs what SIGKILL costs. Has no effect in a worker thread.
   */
  readonly closeOn?: readonly NodeJS.Signals[];
  /**
   * Told of what went wrong; nothing is thrown. REJECTED: a call with a mistake, or an event that the proxy refused. FULL: events were
   * dropped. UNAVAILABLE: the proxy or the disk, once per outage. REFUSED: the proxy does not let us in, likewise; everything is kept, and it
   * is tried again. CORRUPT: a damaged spool was set aside. Default: a process warning.
   */
  readonly onError?: (error: FondacoError) => void;
  /** A mistake in a call is thrown, not only reported: for tests. */
  readonly strict?: boolean;
}

/** Where events wait on disk while no proxy takes them, and how many. */
export interface SpoolOptions {
  /** Default: `FONDACO_SPOOL_DIR`, `$STATE_DIRECTORY/spool`, `$XDG_STATE_HOME/fondaco/spool` (`~/.local/state/…`). Never a temporary one. */
  readonly directory?: string;
  /** What all spools of this component may take, in bytes. Default: 1 GiB. */
  readonly bytesMax?: number;
  /** What gives way when memory or spool are full. Default: `drop-oldest`, normal before urgent. What is dropped is declared to the proxy. */
  readonly whenFull?: 'drop-oldest' | 'drop-newest';
}

/** Checked options, with their defaults. */
export interface RecorderSettings {
  readonly component: string;
  readonly node: string;
  /** Undefined: without catalogs. */
  readonly types: TypeRules | undefined;
  readonly proxies: readonly string[];
  readonly security: LinkSecurity;
  /** The component's directory; `undefined`: memory only. */
  readonly spoolDirectory: string | undefined;
  readonly bytesMax: number;
  readonly whenFull: 'drop-oldest' | 'drop-newest';
  readonly isDurable: boolean;
  readonly urgentFrom: number;
  readonly closeOn: readonly NodeJS.Signals[];
  readonly onError: ((error: FondacoError) => void) | undefined;
  readonly strict: boolean;
}

const KEYS = ['component', 'node', 'catalogs', 'proxy', 'tls', 'token', 'spool', 'durability', 'urgent', 'closeOn', 'onError', 'strict'];
const SPOOL_KEYS = ['directory', 'bytesMax', 'whenFull'];
const DEFAULT_PROXY = '127.0.0.1:7070';
const BYTES_MAX = 1024 ** 3;
const BYTES_MIN = 1024 ** 2;
/** `host:port` or `unix:/path`. */
export const PROXY_ADDRESS = /^(?:unix:.+|\[[0-9A-Fa-f:.]+\]:\d{1,5}|[^\s:/,]+:\d{1,5})$/;

/** Checks the options. Throws CONFIG with the option, what it must be, and what it is. */
export function checkOptions(options: RecorderOptions, env: NodeJS.ProcessEnv): RecorderSettings {
  if (typeof options !== 'object' || options === null) throw config('options', 'an object', options);
  onlyKeys(options, KEYS, 'options');
  const { component, node = hostname(), durability = 'memory', urgent = 'critical', closeOn = [], onError, strict = false } = options;
  checkName('component', component);
  checkName('node', node);
  if (durability !== 'memory' && durability !== 'spool') throw config('durability', 'memory or spool', durability);
  if (!SEVERITIES.includes(urgent)) throw config('urgent', `one of ${SEVERITIES.join(', ')}`, urgent);
  if (!Array.isArray(closeOn) || closeOn.some((signal) => !/^SIG[A-Z0-9]+$/.test(String(signal))))
    throw config('closeOn', 'a list of signals', closeOn);
  if (onError !== undefined && typeof onError !== 'function') throw config('onError', 'a function', onError);
  if (typeof strict !== 'boolean') throw config('strict', 'true or false', strict);
  const spool = checkSpool(options.spool);
  const proxies = checkProxies(options.proxy ?? env.FONDACO_PROXY ?? DEFAULT_PROXY);
  const directory = spool === false ? undefined : (spool.directory ?? defaultDirectory(env));
  return {
    component,
    node,
    types: checkCatalogs(options.catalogs),
    proxies,
    security: checkSecurity(options, proxies, env),
    spoolDirectory: directory === undefined ? undefined : join(resolve(directory), directoryName(component)),
    bytesMax: (spool === false ? undefined : spool.bytesMax) ?? BYTES_MAX,
    whenFull: (spool === false ? undefined : spool.whenFull) ?? 'drop-oldest',
    isDurable: durability === 'spool',
    urgentFrom: SEVERITY_NUMBER[urgent],
    closeOn,
    onError,
    strict,
  };
}

/** Why events cannot be kept in this directory; `undefined` if they can. Makes it. */
export async function spoolProblem(directory: string): Promise<FondacoError | undefined> {
  try {
    await makeDirectory(directory, 0o700);
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const text = `spool.directory ${directory} must be writable, got ${asError(error).message}: events are kept in memory only`;
    return new FondacoError('UNAVAILABLE', text, { cause: error });
  }
}

function checkCatalogs(catalogs: readonly Catalog[] | undefined): TypeRules | undefined {
  if (catalogs === undefined) return undefined;
  if (!Array.isArray(catalogs)) throw config('catalogs', 'a list of catalogs', typeof catalogs);
  return catalogs.length === 0 ? undefined : new TypeRules(catalogs, { isClosed: true });
}

function checkSpool(spool: false | SpoolOptions = {}): false | SpoolOptions {
  if (spool === false) return false;
  if (typeof spool !== 'object' || spool === null) throw config('spool', 'false or an object', spool);
  onlyKeys(spool, SPOOL_KEYS, 'spool');
  const { directory, bytesMax, whenFull } = spool;
  if (directory !== undefined && (typeof directory !== 'string' || directory === '')) throw config('spool.directory', 'a path', directory);
  if (bytesMax !== undefined && !(Number.isSafeInteger(bytesMax) && bytesMax >= BYTES_MIN)) {
    throw config('spool.bytesMax', `a number of bytes from ${BYTES_MIN}`, bytesMax);
  }
  if (whenFull !== undefined && whenFull !== 'drop-oldest' && whenFull !== 'drop-newest') {
    throw config('spool.whenFull', 'drop-oldest or drop-newest', whenFull);
  }
  return spool;
}

function checkProxies(proxy: string | readonly string[]): readonly string[] {
  const proxies = (typeof proxy === 'string' ? proxy.split(',') : proxy).map((address) => address.trim());
  if (proxies.length === 0) throw config('proxy', 'at least one address', proxy);
  for (const address of proxies) {
    if (!PROXY_ADDRESS.test(address)) throw config('proxy', '`host:port` or `unix:/path`', address);
  }
  return proxies;
}

/** Where spools are kept if nothing else was said; `undefined` where there is no home. */
export function defaultDirectory(env: NodeJS.ProcessEnv): string | undefined {
  if (env.FONDACO_SPOOL_DIR) return env.FONDACO_SPOOL_DIR;
  // systemd lists several, separated by colons; the first is the unit's own.
  const state = env.STATE_DIRECTORY?.split(':')[0];
  if (state) return join(state, 'spool');
  if (env.XDG_STATE_HOME && isAbsolute(env.XDG_STATE_HOME)) return join(env.XDG_STATE_HOME, 'fondaco', 'spool');
  const home = env.HOME ?? homedir();
  return home === '' ? undefined : join(home, '.local', 'state', 'fondaco', 'spool');
}

/** A component as one name in a directory, different components different names. */
function directoryName(component: string): string {
  const name = encodeURIComponent(component).replace(/^\./, '%2E');
  return name;
}

function checkName(field: string, value: unknown): void {
  if (typeof value !== 'string' || value === '' || Buffer.byteLength(value) > LIMITS.nameBytes) {
    throw config(field, `a string of 1 to ${LIMITS.nameBytes} bytes`, value);
  }
}

function onlyKeys(object: object, allowed: readonly string[], where: string): void {
  for (const key of Object.keys(object)) {
    if (!allowed.includes(key)) throw config(where, `an object with any of ${allowed.join(', ')}`, key);
  }
}

function config(option: string, expected: string, got: unknown): FondacoError {
  const text = typeof got === 'string' ? JSON.stringify(got) : got === undefined ? 'nothing' : (JSON.stringify(got) ?? typeof got);
  return new FondacoError('CONFIG', `${option} must be ${expected}, got ${text}`);
}
