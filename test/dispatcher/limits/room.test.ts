/** Who waits for room, who is told to come again, and in which order. */
import { expect } from 'chai';
import type { Journal } from '../../../core/journal.ts';
import { Room } from '../../../dispatcher/limits/room.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

const MIB = 1024 * 1024;

describe('Room', () => {
  let clock: FakeClock;
  let journal: { bytes: (lane: string) => number; isLow: boolean };
  let room: Room;
  let used: number;
  let rings: number;
  let answers: [string, number][];

  /** The budget is looked at again, with so much in the journal. */
  const look = async (bytes: number): Promise<void> => {
    used = bytes;
    room.limit({ bytesMax: 100, high: 90 }, () => rings++);
    await settle(2);
  };
  const take = (name: string, bytes: number): void => void room.take(bytes).then((ms) => answers.push([name, ms]));

  beforeEach(async () => {
    clock = new FakeClock();
    rings = 0;
    answers = [];
    journal = { bytes: (lane) => (lane === 'normal' ? used : 0), isLow: false };
    room = new Room(journal as unknown as Journal, clock);
    await look(101);
  });

  it('lets those that wait in as far as there is room, first come first, and nobody past them', async () => {
    for (const name of ['a', 'b', 'c']) take(name, 30);
    await settle(2);
    expect(answers).to.deep.equal([]);
    expect(rings, 'each asks for room').to.equal(3);
    expect(room.refusal, 'room is being made').to.equal(undefined);
    await look(50);
    take('d', 1);
    await settle(2);
    expect(answers.map(([name]) => name)).to.deep.equal(['a', 'b']);
    room.giveBack(30);
    await settle(2);
    expect(answers.map(([name]) => name)).to.deep.equal(['a', 'b', 'c']);
    room.giveBack(30);
    await settle(2);
    expect(answers).to.deep.equal(['a', 'b', 'c', 'd'].map((name) => [name, 0]));
  });

  it('tells those that wait at once when somebody will not pay, or the disk is full', async () => {
    take('a', 30);
    room.refuse('a writer refuses to drop');
    await settle(2);
    expect(answers).to.deep.equal([['a', 1000]]);
    room.refuse(undefined);
    take('b', 30);
    journal.isLow = true;
    await look(101);
    expect(answers.at(-1)).to.deep.equal(['b', 1000]);
    journal.isLow = false;
    await look(100);
    take('c', 1);
    await settle(2);
    expect(answers.at(-1), 'nothing is left of those refused').to.deep.equal(['c', 0]);
  });

  it('refuses, saying so, what has waited for 8 s, and what comes then at once, until there is room', async () => {
    take('a', 30);
    await clock.advance(7999);
    expect(answers).to.deep.equal([]);
    await clock.advance(1);
    take('b', 30);
    await settle(2);
    expect(answers).to.deep.equal([
      ['a', 1000],
      ['b', 1000],
    ]);
    expect(room.refusal).to.equal('the budget of the journal is spent');
    await look(0);
    expect(room.refusal).to.equal(undefined);
    take('c', 30);
    await settle(2);
    expect(answers.at(-1)).to.deep.equal(['c', 0]);
  });

  it('throttles when what waits takes 64 MiB of memory', async () => {
    take('a', 64 * MIB);
    take('b', 1);
    take('c', 1);
    await settle(2);
    expect(answers).to.deep.equal([['c', 100]]);
  });
});
