import { expect } from 'chai';
import { FondacoError } from '../../core/errors.ts';
import type { Delivery } from '../../core/writer.ts';
import { parseDeadLetterId, type DeadLetter, type LetterPlace } from '../../dispatcher/dead-letters/dead-letters.ts';
import type { Feed } from '../../dispatcher/feed/feed.ts';
import type { FeedSettings } from '../../dispatcher/feed/feed-settings.ts';
import { purgeLetters, type Purged } from '../../dispatcher/dead-letters/purge.ts';
import type { ReplayStatus } from '../../dispatcher/dead-letters/replay-row.ts';
import type { Started } from '../../dispatcher/dead-letters/replay.ts';
import { DispatchKit, numbered, Sender, type ScriptedWriter } from './dispatch-kit.ts';
import { rowsOf } from './store-audit.ts';

/** Rejects batches with one of these messages in it. */
export const poisonIs =
  (...messages: string[]): ScriptedWriter['answer'] =>
  (batch) =>
    batch.some(({ event }) => messages.includes(event.message)) ? new FondacoError('REJECTED', '422', { status: '422' }) : undefined;

export const texts = (...numbers: number[]): string[] => numbers.map((n) => `a ${n}`);

/** A kit with the writers `ops` and `other`, and what tests of dead letters ask of it. Events are called `a <n>`. */
export class LetterKit {
  kit!: DispatchKit;
  #sender = new Sender();
  #after = 0;

  async open(ops: Partial<FeedSettings> = {}, resendWindow?: number): Promise<void> {
    this.kit = await DispatchKit.open({ writers: { ops, other: {} }, ...(resendWindow !== undefined && { resendWindow }) });
    this.#sender = new Sender();
    this.#after = 0;
  }

  /** SIGKILL, and the next life. */
  async restart(ops: Partial<FeedSettings> = {}, answer = this.writer.answer): Promise<void> {
    const { storage, clock } = this.kit;
    await this.kit.kill();
    this.kit = await DispatchKit.open({ storage, clock, writers: { ops, other: {} }, answers: { ops: answer } });
  }

  async record(first: number, last: number, more: Record<string, unknown> = {}): Promise<void> {
    await this.kit.dispatcher.accept(this.#sender.batch(this.#after, numbered('a', first, last, more)));
    this.#after += last - first + 1;
    await this.kit.settle();
  }

  /** Events 1 to 20 in the normal lane and 21 to 24 in the urgent one; each second of them is a dead letter. */
  async filled(ops: Partial<FeedSettings> = {}): Promise<void> {
    await this.open(ops);
    this.writer.answer = poisonIs(...texts(...Array.from({ length: 12 }, (_, i) => 2 * i + 2)));
    await this.record(1, 20);
    await this.kit.clock.advance(5000);
    await this.record(21, 24, { severity: 'critical' });
    await this.kit.clock.advance(5000);
    expect(this.feed.status()).to.include({ state: 'delivering', dead: 12 });
    this.writer.answer = () => undefined;
    this.writer.taken.length = this.writer.requests.length = 0;
  }

  get feed(): Feed {
    return this.kit.feed();
  }

  get writer(): ScriptedWriter {
    return this.kit.writer();
  }

  get replay(): ReplayStatus {
    return this.feed.replay.status()!;
  }

  /** All of `ops`, as they are stored. */
  get letters(): DeadLetter[] {
    return rowsOf(this.kit.storage, 'dead:ops/').map(({ value }) => value as DeadLetter);
  }

  get dead(): string[] {
    return this.letters.map(({ event }) => event.message);
  }

  /** Of the urgent and of the normal lane. */
  async books(): Promise<{ delivered: number; dead: number; dropped: number }[]> {
    const { urgent, normal } = (await this.kit.ledger()).writers.find(({ name }) => name === 'ops')!.lanes;
    return [urgent, normal].map(({ delivered, dead, dropped }) => ({ delivered, dead, dropped }));
  }

  /** Replays the letters with these ids, or all. */
  async begin(...ids: string[]): Promise<Started> {
    return this.feed.replay.start(ids.length === 0 ? undefined : places(...ids));
  }

  async purge(...ids: string[]): Promise<Purged> {
    return purgeLetters(this.feed, ids.length === 0 ? undefined : places(...ids));
  }

  /** What must hold whenever nothing is under way; then the end. */
  async end(): Promise<void> {
    expect((await this.kit.ledger()).isBalanced).to.equal(true);
    const { dead, deadBytes } = this.feed.status();
    expect(this.letters).to.have.lengthOf(dead);
    expect(deadBytes).to.equal(this.letters.reduce((sum, { bytes }) => sum + bytes, 0));
    for (const writer of this.kit.writers.values()) expect(writer.inFlightMax, 'writes at once in a lane').to.be.at.most(1);
    await this.kit.stop();
  }
}

export function numbersOf(taken: readonly Delivery[]): string[] {
  return taken.map(({ event, delivery }) => `${event.message}=${delivery.seq}`);
}

function places(...ids: string[]): LetterPlace[] {
  return ids.map((id) => parseDeadLetterId(id)!);
}
