import { Metadata, type status, type StatusObject } from '@grpc/grpc-js';
import { ProtobufWriter } from '../../core/protobuf.ts';

/** What ends a call. An Error, because that is how grpc-js wants it. */
export type GrpcStatus = Error & Partial<StatusObject>;

/**
 * A gRPC status; with `retryAfterMs`, one that carries google.rpc.RetryInfo where clients look for it: in the trailer
 * `grpc-status-details-bin`, a google.rpc.Status { code = 1, message = 2, details = 3 (Any { type_url = 1, value = 2 }) }.
 */
export function grpcStatus(code: status, details: string, retryAfterMs?: number): GrpcStatus {
  const metadata = new Metadata();
  if (retryAfterMs !== undefined) {
    const writer = new ProtobufWriter(128);
    writer.uint(1, code);
    writer.string(2, details);
    writer.message(3, () => {
      writer.string(1, 'type.googleapis.com/google.rpc.RetryInfo');
      // RetryInfo { retry_delay = 1 }; a Duration has the fields of a Timestamp.
      writer.message(2, () => writer.timestamp(1, Math.floor(retryAfterMs / 1000), Math.round((retryAfterMs % 1000) * 1_000_000)));
    });
    metadata.set('grpc-status-details-bin', Buffer.from(writer.view()));
  }
  return Object.assign(new Error(details), { code, details, metadata });
}
