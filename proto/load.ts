/**
 * The one module that loads the .proto files: for reflection and for the service that a proxy serves. A recorder or an upstream writer
 * (proto/session.ts) does not need it, so an agent loads no protobuf library.
 */
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import type { Batch, BatchReply } from '../core/batch.ts';
import type { FondacoError } from '../core/errors.ts';
import { decodeBatchOrError, decodeReply, encodeBatch, encodeReply } from './batch-codec.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** The .proto files, relative to `proto/`. */
export const PROTO_FILES = ['fondaco/v1/event.proto', 'fondaco/v1/service.proto'] as const;

/** Every message and service of fondaco.v1, as @grpc/reflection wants it. */
export const packageDefinition: PackageDefinition = loadSync([...PROTO_FILES], {
  includeDirs: [folder],
  keepCase: true,
  longs: Number,
  defaults: true,
  arrays: true,
  bytes: Buffer,
});

/** A request as a handler gets it: a message that is no good comes as the error, for an INVALID_ARGUMENT that says what is wrong. */
export type BatchRequest = Batch | FondacoError;

const method = (name: string, isStream: boolean): MethodDefinition<BatchRequest, BatchReply> => ({
  path: `/fondaco.v1.EventService/${name}`,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: (batch) => encodeBatch(batch as Batch),
  requestDeserialize: decodeBatchOrError,
  responseSerialize: encodeReply,
  responseDeserialize: decodeReply,
});

/** What `server.addService` takes for fondaco.v1.EventService: `repeated bytes events` are views of the message, never copied. */
export const eventService = {
  Record: method('Record', true),
  RecordBatch: method('RecordBatch', false),
} satisfies ServiceDefinition;
