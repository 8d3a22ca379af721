/** The bare receiver: opaque messages from a gRPC stream, appended to a file, fdatasync, reply. Nothing is looked at. A group commit, as ours. */
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { open } from 'node:fs/promises';

const asItIs = (bytes: Buffer): Buffer => bytes;
const method = {
  path: '/bare/Send',
  requestStream: true,
  responseStream: true,
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
};

const file = await open(process.argv[2]!, 'w');
const server = new Server();
let waiting: { bytes: Buffer; call: ServerDuplexStream<Buffer, Buffer> }[] = [];
let isWriting = false;

async function writeAll(): Promise<void> {
  isWriting = true;
  while (waiting.length > 0) {
    const group = waiting;
    waiting = [];
    await file.writev(group.map(({ bytes }) => bytes));
    await file.datasync();
    for (const { call } of group) call.write(Buffer.alloc(1));
  }
  isWriting = false;
}

server.addService(
  { Send: method },
  {
    Send: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (bytes: Buffer) => {
        waiting.push({ bytes, call });
        if (!isWriting) void writeAll();
      });
      call.on('end', () => call.end());
    },
  },
);
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, port) => console.log(JSON.stringify({ port })));
process.on('SIGTERM', () => process.exit(0));
