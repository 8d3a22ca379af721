import { isFondacoError, type FondacoError } from '../../core/errors.ts';
import type { Stop } from '../stop.ts';
import type { Endpoint } from './address.ts';
import { movedTo } from './answer.ts';
import { RedisConnection, type Target } from './connection.ts';

/** In a cluster a batch is sent on at most so many times. What was sent on was not done, so this repeats nothing. */
const HOPS_MAX = 3;

/** A lane's way to Redis: a connection that is made when it is needed, to the server that has the streams. */
export class Link {
  readonly #target: Target;
  #connection: RedisConnection | undefined;
  /** Of a cluster: the node that has our slot, as far as we know. */
  #owner: Endpoint | undefined;
  /** What took the last batch. */
  #wroteOn: RedisConnection | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  /** True where the connection that took the last batch has ended. */
  get hasBroken(): boolean {
    return this.#wroteOn?.hasEnded ?? false;
  }

  /** Rejects as RedisConnection.run does. */
  async run(keys: readonly string[], args: readonly string[], stop: Stop): Promise<readonly unknown[]> {
    for (let hops = 0; ; hops++) {
      const connection = await this.#connected(stop);
      try {
        const answer = await connection.run(keys, args, stop);
        this.#wroteOn = connection;
        return answer;
      } catch (error) {
        if (!this.#follows(error) || hops === HOPS_MAX) throw error;
      }
    }
  }

  /** Of what this link has written. */
  async replicas(count: number, waitMs: number, stop: Stop): Promise<number> {
    return (await this.#connected(stop)).replicas(count, waitMs, stop);
  }

  /** Ends the connection; the next batch makes a new one. */
  drop(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #connected(stop: Stop): Promise<RedisConnection> {
    if (this.#connection && !this.#connection.hasEnded) return this.#connection;
    this.drop();
    const { endpoints, sentinel } = this.#target.settings;
    const places = sentinel ? [undefined] : [...(this.#owner ? [this.#owner] : []), ...endpoints];
    let failure: FondacoError | undefined;
    for (const place of places) {
      try {
        return (this.#connection = await RedisConnection.open(this.#target, place, stop));
      } catch (error) {
        if (!isFondacoError(error) || stop.why !== undefined) throw error;
        failure = error;
        if (place === this.#owner) this.#owner = undefined;
      }
    }
    throw failure!;
  }

  /** The slot is at another node of the cluster. */
  #follows(error: unknown): boolean {
    const answer = RedisConnection.answerOf(error);
    const place = answer === undefined || !this.#target.settings.cluster ? undefined : movedTo(answer);
    if (!place) return false;
    const { endpoints } = this.#target.settings;
    const asked = this.#owner ?? endpoints[0]!;
    this.#owner = { host: place.host === '' && 'host' in asked ? asked.host : place.host, port: place.port };
    return true;
  }
}
