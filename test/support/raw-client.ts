import { Client, credentials, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import type { BatchReply } from '../../core/batch.ts';
import { decodeReply } from '../../proto/batch-codec.ts';

/** What a call came to: a status, 0 for OK, with its text, and the replies before it. */
export interface Outcome {
  readonly code: number;
  readonly details: string;
  readonly replies: readonly BatchReply[];
}

/** A client of fondaco.v1.EventService that sends whatever bytes it is given. */
export class RawClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
  }

  unary(bytes: Uint8Array, method = 'fondaco.v1.EventService/RecordBatch'): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(`/${method}`, asBuffer, decodeReply, bytes, (error, reply) =>
        resolve(error ? failed(error, []) : { code: 0, details: '', replies: [reply!] }),
      );
    });
  }

  /** One stream: all of the messages at once, then half-closed; resolves at its end. */
  stream(...messages: readonly Uint8Array[]): Promise<Outcome> {
    return new Promise((resolve) => {
      const replies: BatchReply[] = [];
      const path = '/fondaco.v1.EventService/Record';
      const call: ClientDuplexStream<Uint8Array, BatchReply> = this.#client.makeBidiStreamRequest(path, asBuffer, decodeReply);
      call.on('data', (reply: BatchReply) => replies.push(reply));
      call.on('error', (error: ServiceError) => resolve(failed(error, replies)));
      call.on('end', () => resolve({ code: 0, details: '', replies }));
      for (const message of messages) call.write(message);
      call.end();
    });
  }

  close(): void {
    this.#client.close();
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

function failed({ code, details }: ServiceError, replies: readonly BatchReply[]): Outcome {
  return { code, details, replies };
}
