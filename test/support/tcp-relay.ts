/** A way to a server over TCP that can be broken at a chosen point. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpRelay {
  /** Takes connections and bytes, and passes nothing on. */
  isHanging = false;
  /** Asked of each piece that a client sends; true: it is passed on, and the connection is cut before what the server answers comes back. */
  losesAnswerTo: (piece: Buffer) => boolean = () => false;
  /** Connections that were made. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async open(port: number): Promise<TcpRelay> {
    const relay = new TcpRelay(port);
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  private constructor(port: number) {
    this.#server = createServer((client) => this.#join(client, port));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Every connection that there is. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #join(client: Socket, port: number): void {
    this.connections++;
    const server = connect(port, '127.0.0.1');
    let isDoomed = false;
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (piece: Buffer) => {
      if (this.isHanging) return;
      if (this.losesAnswerTo(piece)) isDoomed = true;
      server.write(piece);
    });
    server.on('data', (piece: Buffer) => {
      if (this.isHanging) return;
      if (isDoomed) client.destroy();
      else client.write(piece);
    });
  }
}
