/**
 * What holds for the sockets of both listeners, before anything is read from them: how many there may be, and who is told of those that
 * were turned away. A connection is a file descriptor, and the journal needs some too: without a limit, whoever can connect could close it.
 */
import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Refusals } from './caller-refusals.ts';

/** Connections of one listener, where the process may have many files open. */
const CONNECTIONS_MAX = 2000;
/** A listener takes at most this part of the files that the process may have open; a half is left for the journal and the writers. */
const SHARE = 4;

export interface ListenerLimits {
  /** Connections at once; a further one is closed. Default: what the system's limit of open files leaves for it. */
  readonly connectionsMax?: number | undefined;
  /** Told of connections beyond the limit, and of those that TLS turned away. */
  readonly refusals?: Refusals | undefined;
}

/** Bounds the servers of one listener (`localhost` has two). */
export function boundListener(servers: readonly Server[], { connectionsMax = openFilesShare(), refusals }: ListenerLimits): void {
  for (const server of servers) {
    server.maxConnections = connectionsMax;
    if (!refusals) continue;
    server.on('drop', (dropped) => refusals.count(dropped?.remoteAddress ?? 'a socket', `at most ${connectionsMax} connections at a time`));
    server.on('tlsClientError', (error: Error, socket: TLSSocket) =>
      refusals.count(socket.remoteAddress ?? 'unknown', tlsReason(error, socket)),
    );
  }
}

/** What keeps a client out, without anything of what it sent. */
function tlsReason(error: Error, { authorizationError }: TLSSocket): string {
  // A string at run time: the code of what is wrong with the certificate that was shown.
  if (authorizationError) return `its certificate: ${String(authorizationError)}`;
  const { code, reason } = error as NodeJS.ErrnoException & { reason?: string };
  return reason ?? code ?? error.message;
}

function openFilesShare(): number {
  const files = openFilesMax();
  return files === undefined ? CONNECTIONS_MAX : Math.max(1, Math.min(CONNECTIONS_MAX, Math.floor(files / SHARE)));
}

/** The soft limit of this process (proc(5)), which Node raises to the hard one when it starts; undefined where that is not Linux, or there is none. */
function openFilesMax(): number | undefined {
  try {
    const [, files] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return files === undefined ? undefined : Number(files);
  } catch {
    return undefined;
  }
}
