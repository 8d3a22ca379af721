/** Who may call the gRPC listener. */
import assert from 'node:assert';
import type { Server as NetServer } from 'node:net';
import { ServerCredentials, ServerInterceptingCall, status, type Server, type ServerInterceptor } from '@grpc/grpc-js';
import type { Gate } from '../token-gate.ts';
import type { ListenTls } from '../listen-tls.ts';

/** Whoever asks whether a proxy lives need not know its token. */
const OPEN = '/grpc.health.v1.Health/';

/** TLS with these files, asking for client certificates if there is a CA for them; plain connections without. */
export function serverCredentials(tls: ListenTls | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(tls.clientCa ?? null, [{ cert_chain: tls.cert, private_key: tls.key }], tls.clientCa !== undefined);
}

/** Ends a call with UNAUTHENTICATED before anything of it is read, unless the gate lets its caller in. */
export function admit(gate: Gate): ServerInterceptor {
  return (method, call) => {
    if (method.path.startsWith(OPEN)) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, admitted) => {
            const problem = gate.problem(metadata.get('authorization')[0]?.toString(), call.getPeer());
            if (problem === undefined) admitted(metadata);
            else call.sendStatus({ code: status.UNAUTHENTICATED, details: problem });
          },
        }),
    });
  };
}

/** What a bound server listens with. The library shows it to nobody and has no option for what has to be set on it: this is its own table. */
export function serversOf(server: Server): NetServer[] {
  const { http2Servers } = server as unknown as { http2Servers: ReadonlyMap<NetServer, unknown> };
  assert(http2Servers.size > 0, 'grpc-js keeps its listeners in http2Servers');
  return [...http2Servers.keys()];
}
