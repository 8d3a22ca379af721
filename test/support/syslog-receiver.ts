/** A syslog server in this process, for what no real one can be made to do: to hang, to break off, to answer what it likes. */
import { createSocket } from 'node:dgram';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { RelpReader, relpFrame, type RelpFrame } from '../../writers/syslog/relp-frames.ts';

export type Protocol = 'udp' | 'octet-counting' | 'lf' | 'relp';

export interface ReceiverOptions {
  readonly protocol: Protocol;
  readonly tls?: TlsOptions;
  readonly port?: number;
}

/** What RELP is answered: the data of `rsp`, nothing, or whatever is done with the socket. */
export type RelpAnswer = (frame: RelpFrame, socket: Socket) => string | undefined;

const OPENED = '200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog';

export class SyslogReceiver {
  /** Messages, in order, over all connections. */
  readonly messages: Buffer[] = [];
  readonly relpFrames: RelpFrame[] = [];
  readonly sockets = new Set<Socket>();
  /** How many connections there were. */
  connections = 0;
  /** It reads, and says nothing more; over TLS not even the handshake. */
  isHanging = false;
  answer: RelpAnswer = ({ command }) => (command === 'open' ? OPENED : '200 OK');
  #port = 0;
  #close: () => Promise<void> = async () => undefined;

  static async open(options: ReceiverOptions): Promise<SyslogReceiver> {
    const receiver = new SyslogReceiver();
    await (options.protocol === 'udp' ? receiver.#bind(options) : receiver.#listen(options));
    return receiver;
  }

  get port(): number {
    return this.#port;
  }

  get texts(): string[] {
    return this.messages.map(String);
  }

  /** Every connection is closed as a server does that ends: with FIN, or with RST where `isRude`. */
  breakOff({ isRude = false } = {}): void {
    for (const socket of this.sockets) {
      if (isRude) socket.resetAndDestroy();
      else socket.end();
    }
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await this.#close();
  }

  async #bind({ port = 0 }: ReceiverOptions): Promise<void> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
    socket.on('message', (message) => void this.messages.push(message));
    await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve));
    this.#port = socket.address().port;
    this.#close = async () => new Promise((resolve) => void socket.close(() => resolve()));
  }

  async #listen({ protocol, tls, port = 0 }: ReceiverOptions): Promise<void> {
    const take = protocol === 'relp' ? this.#relp : protocol === 'lf' ? this.#lines : this.#counted;
    const onConnection = (socket: Socket): void => {
      this.connections++;
      socket.on('error', () => undefined);
      take.call(this, socket);
    };
    const server: Server = tls ? createTlsServer(tls, onConnection) : createServer(onConnection);
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
      if (this.isHanging) socket.pause();
    });
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#close = async () => new Promise((resolve) => void server.close(() => resolve()));
  }

  #counted(socket: Socket): void {
    let rest = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      for (;;) {
        const [whole, digits] = /^(\d{1,9}) /.exec(rest.toString('latin1', 0, 10)) ?? [];
        if (whole === undefined || rest.length < whole.length + Number(digits)) return;
        this.messages.push(Buffer.from(rest.subarray(whole.length, whole.length + Number(digits))));
        rest = rest.subarray(whole.length + Number(digits));
      }
    });
  }

  #lines(socket: Socket): void {
    let rest = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        this.messages.push(Buffer.from(rest.subarray(0, end)));
        rest = rest.subarray(end + 1);
      }
    });
  }

  #relp(socket: Socket): void {
    const reader = new RelpReader();
    socket.on('data', (bytes: Buffer) => {
      for (const frame of reader.push(bytes)) {
        this.relpFrames.push(frame);
        if (this.isHanging) continue;
        const data = this.answer(frame, socket);
        if (data === undefined) continue;
        if (frame.command === 'syslog' && data.startsWith('200')) this.messages.push(frame.data);
        socket.write(relpFrame(frame.number, 'rsp', Buffer.from(data)));
      }
    });
  }
}
