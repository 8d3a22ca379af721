import { unlink } from 'node:fs/promises';
import { connect, isIP } from 'node:net';
import { asError, FondacoError } from '../core/errors.ts';
import { isLoopback } from '../core/loopback.ts';

/** Where a proxy listens: a host and a port (0 takes any free one), or a unix socket. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

const HOST_AND_PORT = /^(?:\[([0-9A-Fa-f:.%A-Za-z]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/;
/** sun_path of Linux holds 108 bytes, that of macOS 104, a closing NUL among them. */
const SOCKET_PATH_BYTES_MAX = 103;

/** `127.0.0.1:7070`, `[::1]:7070`, `localhost:7070` or `unix:/run/fondaco/proxy.sock`; undefined for anything else. */
export function parseAddress(text: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    return path.startsWith('/') && Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX ? { path } : undefined;
  }
  const [, v6, name, digits = ''] = HOST_AND_PORT.exec(text) ?? [];
  const host = v6 ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535 || (v6 !== undefined && isIP(v6) !== 6)) return undefined;
  return { host, port };
}

/** The form that `parseAddress` reads, which is also what gRPC takes. */
export function formatAddress(address: ListenAddress): string {
  if ('path' in address) return `unix:${address.path}`;
  return isIP(address.host) === 6 ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** True for what only this machine can reach. */
export function isLocal(address: ListenAddress): boolean {
  if ('path' in address) return true;
  return isLoopback(address.host);
}

/**
 * Makes room for a unix socket: removes the file that a killed process left there. Rejects UNAVAILABLE where somebody still listens on it,
 * CONFIG where what is there is no socket of ours to remove.
 */
export async function clearSocket(address: ListenAddress): Promise<void> {
  if (!('path' in address)) return;
  const answer = await knock(address.path);
  if (answer === 'ENOENT') return;
  if (answer === 'listening') throw new FondacoError('UNAVAILABLE', `${formatAddress(address)} is in use by another process`);
  if (answer !== 'ECONNREFUSED') throw new FondacoError('CONFIG', `${formatAddress(address)} must be free for a socket, got ${answer}`);
  await unlink(address.path);
}

function knock(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve('listening');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** What went wrong when listening, in words: in use and not allowed are the common ones. */
export function listenError(address: ListenAddress, thrown: unknown): FondacoError {
  const error = asError(thrown);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  const shown = formatAddress(address);
  if (`${code} ${error.message}`.includes('EADDRINUSE')) {
    return new FondacoError('UNAVAILABLE', `${shown} is in use: is another proxy running here?`, { cause: error });
  }
  return new FondacoError('CONFIG', `cannot listen on ${shown}: ${error.message}`, { cause: error });
}
