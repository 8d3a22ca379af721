/** A TCP proxy between a client and a server, which sees the bytes and breaks connections where a test wants it. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpTap {
  /** What came from clients, in order. */
  readonly sent: Buffer[] = [];
  /** Bytes that came from clients, of all connections. */
  sentBytes = 0;
  /** Connections made so far. */
  connections = 0;
  /** What becomes of the next bytes of a client: how many of them go on before both ends are cut off; undefined: all, and nothing is cut. */
  cutRequest: ((bytes: Buffer) => number | undefined) | undefined;
  /** The same of what the server answers. */
  cutAnswer: ((bytes: Buffer) => number | undefined) | undefined;
  /** Nothing goes on in either direction, and nothing is said. */
  isHanging = false;
  /** How much later everything goes on, in either direction. */
  slowMs = 0;
  #isStill = false;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();

  static async open(targetPort: number): Promise<TcpTap> {
    const tap = new TcpTap(targetPort);
    await new Promise<void>((resolve) => tap.#server.listen(0, '127.0.0.1', resolve));
    return tap;
  }

  private constructor(targetPort: number) {
    this.#server = createServer((client) => this.#join(client, connect({ port: targetPort, host: '127.0.0.1', noDelay: true })));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** A way that has gone dead and takes connections all the same: nothing goes on, and all of it does when it is over. */
  standStill(isStill: boolean): void {
    this.#isStill = isStill;
    for (const socket of [...this.#pairs].flat()) {
      if (isStill) socket.pause();
      else socket.resume();
    }
  }

  /** Ends every connection. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    this.connections++;
    client.setNoDelay(true);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    client.on('data', (bytes: Buffer) => {
      this.sent.push(bytes);
      this.sentBytes += bytes.length;
      this.#late(client, () => this.#pass(bytes, server, client, this.cutRequest?.(bytes)));
    });
    server.on('data', (bytes: Buffer) => this.#late(server, () => this.#pass(bytes, client, client, this.cutAnswer?.(bytes))));
    if (this.#isStill) for (const socket of pair) socket.pause();
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', () => undefined);
      from.on('close', () => {
        to.end();
        this.#pairs.delete(pair);
      });
    }
  }

  /** Nothing more is read meanwhile, so that the order stays. */
  #late(from: Socket, pass: () => void): void {
    if (this.slowMs === 0) return void pass();
    from.pause();
    setTimeout(() => {
      pass();
      if (!this.#isStill) from.resume();
    }, this.slowMs);
  }

  /** What goes on before a cut has arrived: the socket to the server is ended, not destroyed. */
  #pass(bytes: Buffer, to: Socket, client: Socket, cutAt: number | undefined): void {
    if (this.isHanging || to.destroyed) return;
    if (cutAt === undefined) return void to.write(bytes);
    if (to === client) return void client.end(bytes.subarray(0, cutAt), () => client.resetAndDestroy());
    to.end(bytes.subarray(0, cutAt));
    client.resetAndDestroy();
  }
}
