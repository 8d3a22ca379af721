/**
 * UDP, RFC 5426: a message a datagram. Nothing is answered and nothing is certain; what the network does say (ICMP: nobody listens) is heeded.
 *
 * | what happens | becomes |
 * |---|---|
 * | the datagram is too large for the way (EMSGSIZE) | REJECTED: it can never succeed |
 * | the address cannot be sent to (EACCES, EINVAL …) | REFUSED |
 * | nobody listens, no route, no such host | UNAVAILABLE, not reached |
 * | no room (ENOBUFS) | UNAVAILABLE |
 */
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { Clock } from '../../core/clock.ts';
import { asError, FondacoError } from '../../core/errors.ts';
import { networkReason } from '../network-errors.ts';
import type { Stop } from '../stop.ts';
import type { Transport } from './transport.ts';

export interface UdpTarget {
  readonly host: string;
  readonly port: number;
  readonly what: string;
}

/** A near machine on which nobody listens says so within this time. */
const ICMP_MS = 10;
const NEVER = new Set(['EMSGSIZE']);
const REFUSALS = new Set(['EACCES', 'EINVAL', 'EAFNOSUPPORT', 'EPROTONOSUPPORT', 'EDESTADDRREQ']);
const CROWDED = new Set(['ENOBUFS', 'ENOMEM', 'EAGAIN', 'EMFILE', 'ENFILE']);

export class UdpTransport implements Transport {
  readonly hasBroken = false;
  readonly #target: UdpTarget;
  readonly #clock: Clock;
  #socket: Socket | undefined;
  /** What the network said of datagrams that were sent. */
  #answer: Error | undefined;

  constructor(target: UdpTarget, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  async send(messages: readonly Buffer[], stop: Stop): Promise<void> {
    try {
      const socket = (this.#socket ??= await this.#open());
      for (const message of messages) {
        this.#mustGoOn(stop);
        await new Promise<void>((resolve, reject) => socket.send(message, (error) => (error ? reject(error) : resolve())));
      }
      await this.#clock.sleep(ICMP_MS, stop.signal);
      // Behind whatever the network has said by now: on a busy machine a timer comes before it.
      await new Promise((resolve) => setImmediate(resolve));
      this.#mustGoOn(stop);
    } catch (error) {
      await this.close(); // the next one looks the name up again
      throw this.#asOurs(asError(error));
    }
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#answer = undefined;
    if (socket) await new Promise<void>((resolve) => socket.close(() => resolve()));
  }

  /** Connected, or the kernel tells nobody what ICMP says. */
  async #open(): Promise<Socket> {
    const { host, port } = this.#target;
    const { address, family } = await lookup(host);
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        // The error is given to this callback, whatever its type says.
        socket.connect(port, address, (error?: unknown) => {
          socket.off('error', reject);
          if (error === undefined || error === null) resolve();
          else reject(asError(error));
        });
      });
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.on('error', (error) => (this.#answer = error));
    return socket;
  }

  #mustGoOn(stop: Stop): void {
    if (this.#answer) throw this.#answer;
    if (stop.signal.aborted) throw new FondacoError('UNAVAILABLE', `${this.#target.what} was stopped`);
  }

  #asOurs(error: Error): FondacoError {
    if (error instanceof FondacoError) return error;
    const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
    const reason = `${this.#target.what} failed: ${networkReason(error)}`;
    if (NEVER.has(code))
      return new FondacoError('REJECTED', `${reason}: a message must fit into a datagram, bytesMax must be lower`, { cause: error });
    if (REFUSALS.has(code)) return new FondacoError('REFUSED', reason, { cause: error });
    return new FondacoError('UNAVAILABLE', reason, { cause: error, ...(CROWDED.has(code) ? {} : { unreachable: true }) });
  }
}
