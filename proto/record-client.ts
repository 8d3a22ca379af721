import { type ChannelCredentials, Client, connectivityState, credentials as grpcCredentials, status } from '@grpc/grpc-js';
import type { BatchReply } from '../core/batch.ts';
import { FondacoError } from '../core/errors.ts';
import { decodeReply, encodeOutgoing, type OutgoingBatch } from './batch-codec.ts';

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

/**
 * A connection to one proxy. A new one for each attempt after a failure: grpc-js keeps a back-off of its own per address, during which
 * calls fail with the last error, so the session's back-off would not mean what it says.
 */
export class RecordClient {
  readonly proxy: string;
  readonly #client: Client;

  constructor(proxy: string, credentials: ChannelCredentials = grpcCredentials.createInsecure()) {
    this.proxy = proxy;
    this.#client = new Client(proxy, credentials, {
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
    const call = this.#client.makeBidiStreamRequest<Buffer, BatchReply>('/fondaco.v1.EventService/Record', asItIs, decodeReply);
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

function asItIs(message: Buffer): Buffer {
  return message;
}
