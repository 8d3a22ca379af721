import { isIP } from 'node:net';
import { checkServerIdentity, type SecureContext } from 'node:tls';
import { type ChannelOptions, ChannelCredentials, Client, connectivityState, Metadata, status } from '@grpc/grpc-js';
import type { BatchReply } from '../core/batch.ts';
import { FondacoError } from '../core/errors.ts';
import { decodeReply, encodeOutgoing, type OutgoingBatch } from './batch-codec.ts';

/** What a link beyond this machine needs. */
export interface LinkSecurity {
  /** Whom to trust, and who we are. Undefined: no TLS. */
  readonly tls?: SecureContext | undefined;
  /** Whether `tls` has a certificate of ours. */
  readonly hasCertificate?: boolean;
  /** The name that the proxy's certificate must have, if it is not the host of its address; `localhost` for a unix socket. */
  readonly serverName?: string | undefined;
  /** Sent with every call. Never over a link without TLS to another machine: whoever makes this sees to it. */
  readonly token?: string | undefined;
}

/** What became of a stream. */
export interface StreamEvents {
  reply(reply: BatchReply): void;
  /** Called once; with an error unless the proxy ended the stream in good order. */
  end(error: Error | undefined): void;
}

/** An open Record call. Half-closed or not, it keeps the process alive until it ends. */
export interface RecordStream {
  /** Returns the size of the message. */
  send(batch: OutgoingBatch): number;
  /** No more batches will come. */
  end(): void;
  cancel(): void;
}

/** A connection to one proxy, over which Record calls go. */
export interface RecordLink {
  readonly proxy: string;
  /** A connection stands, as far as is known. */
  isReady(): boolean;
  record(events: StreamEvents): RecordStream;
  close(): void;
}

const RECORD = '/fondaco.v1.EventService/Record';
/** Asked for where a proxy is known by its address alone (RFC 2606: nobody's). */
const NO_NAME = 'fondaco.invalid';

/**
 * A connection to one proxy. A new one for each attempt after a failure: grpc-js keeps a back-off of its own per address, during which
 * calls fail with the last error, so the session's back-off would not mean what it says.
 */
export class RecordClient implements RecordLink {
  readonly proxy: string;
  readonly #client: Client;
  readonly #metadata = new Metadata();

  constructor(proxy: string, security: LinkSecurity = {}) {
    this.proxy = proxy;
    const { credentials, options } = secured(proxy, security);
    // grpc-js has no credentials of calls on a link without TLS, such as a unix socket: the token is a header like any other.
    if (security.token !== undefined) this.#metadata.set('authorization', `Bearer ${security.token}`);
    this.#client = new Client(proxy, credentials, {
      ...options,
      'grpc.use_local_subchannel_pool': 1,
      // An http_proxy of the host's environment is for its web traffic.
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      // Only while a call is open: a dead link is noticed in 10 s, an idle one costs nothing.
      'grpc.keepalive_time_ms': 5_000,
      'grpc.keepalive_timeout_ms': 5_000,
    });
  }

  /** A connection stands, as far as TCP knows. */
  isReady(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  record(events: StreamEvents): RecordStream {
    const call = this.#client.makeBidiStreamRequest<Buffer, BatchReply>(RECORD, asItIs, decodeReply, this.#metadata);
    let isOver = false;
    const end = (error: Error | undefined): void => {
      if (isOver) return;
      isOver = true;
      events.end(error);
    };
    call.on('data', (reply: BatchReply) => {
      if (!isOver) events.reply(reply);
    });
    call.on('error', (error: Error) => end(error));
    call.on('status', ({ code, details }: { code: status; details: string }) =>
      end(code === status.OK ? undefined : new FondacoError('UNAVAILABLE', `${status[code]} ${details}`)),
    );
    return {
      send: (batch) => {
        const message = encodeOutgoing(batch);
        call.write(message);
        return message.length;
      },
      end: () => call.end(),
      cancel: () => {
        if (!isOver) call.cancel();
      },
    };
  }

  close(): void {
    this.#client.close();
  }
}

function secured(proxy: string, { tls, serverName }: LinkSecurity): { credentials: ChannelCredentials; options: ChannelOptions } {
  if (!tls) return { credentials: ChannelCredentials.createInsecure(), options: {} };
  const host = serverName ?? hostOf(proxy);
  // An address is no name to ask for in a handshake (RFC 6066, section 3), and Node warns of one; but it is what must be in the certificate.
  const isAddress = isIP(host) !== 0;
  return {
    credentials: ChannelCredentials.createFromSecureContext(
      tls,
      isAddress ? { checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate) } : {},
    ),
    options: { 'grpc.ssl_target_name_override': isAddress ? NO_NAME : host },
  };
}

/** Of `host:port`, `[IPv6]:port`, `unix:/path`. */
function hostOf(proxy: string): string {
  return proxy.startsWith('unix:') ? 'localhost' : proxy.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
}

function asItIs(message: Buffer): Buffer {
  return message;
}
