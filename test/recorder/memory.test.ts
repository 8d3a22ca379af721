import { assert } from 'chai';
import fc from 'fast-check';
import { ProtobufReader } from '../../core/protobuf.ts';
import { frameEvents } from '../../proto/batch-codec.ts';
import { CHUNK_BYTES, Memory } from '../../recorder/memory.ts';

describe('recorder/memory', () => {
  it('cuts whole chunks up to the limits, and goes on where the last cut ended', () => {
    const memory = filled(1, 2500, 100);
    const limits = { eventsMax: 1000, bytesMax: 1024 * 1024 };
    const seqs: number[] = [];
    for (let after = 0; after < 2500;) {
      const cut = memory.cut(after, limits, 0)!;
      assert.isAtMost(cut.count, 1000);
      assert.deepEqual(textsOf(cut.slices).length, cut.count);
      seqs.push(...textsOf(cut.slices));
      after = cut.last;
    }
    assert.deepEqual(seqs, range(1, 2500));
    assert.isUndefined(memory.cut(2500, limits, 0));
  });

  it('cuts after any seq, also in the middle of a chunk', () => {
    const memory = filled(1, 300, 50);
    fc.assert(
      fc.property(fc.nat(299), (after) => {
        const cut = memory.cut(after, { eventsMax: 10_000, bytesMax: 1e9 }, 0)!;
        assert.deepEqual(textsOf(cut.slices), range(after + 1, 300));
      }),
    );
  });

  it('forgets chunk by chunk, and all of it when everything is settled', () => {
    const memory = filled(1, 2000, 100);
    const before = memory.bytes;
    memory.forget(1500);
    assert.isBelow(memory.bytes, before);
    assert.strictEqual(memory.countAfter(1500), 500);
    memory.forget(2000);
    assert.strictEqual(memory.bytes, 0);
    assert.isUndefined(memory.since(2000));
  });

  it('gives up the oldest chunk and says which seqs that were', () => {
    const memory = filled(1, 2000, 100);
    const dropped = memory.drop('oldest', 0)!;
    assert.strictEqual(dropped.first, 1);
    assert.strictEqual(memory.firstAfter(0), dropped.last + 1);
    assert.isAbove(memory.drop('oldest', dropped.last + 5)!.first, dropped.last + 5);
    assert.strictEqual(memory.drop('newest', 0)!.last, 2000);
    assert.isBelow(memory.last, 2000);
  });

  it('says since when the oldest unsettled event waits', () => {
    const memory = new Memory();
    append(memory, 1, 100, 10);
    memory.close();
    append(memory, 2, 100, 70);
    assert.strictEqual(memory.since(0), 10);
    assert.strictEqual(memory.since(1), 70);
    assert.isUndefined(memory.since(2));
  });

  it('closes an open chunk that is read after 50 ms, so that its age means something', () => {
    const memory = new Memory();
    append(memory, 1, 10, 0);
    memory.cut(0, { eventsMax: 10, bytesMax: 1000 }, 51);
    append(memory, 2, 10, 60);
    assert.strictEqual(memory.since(1), 60);
  });

  it('takes an event that is larger than a chunk', () => {
    const memory = new Memory();
    append(memory, 1, CHUNK_BYTES + 10, 0);
    assert.strictEqual(memory.cut(0, { eventsMax: 1, bytesMax: 1 }, 0)!.count, 1);
  });

  it('loads framed events, and refuses bytes that are none', () => {
    const frames = frameEvents(range(5, 1500).map((seq) => Buffer.from(`${seq}`.padEnd(100)))).slices[0]!;
    const memory = new Memory();
    assert.strictEqual(memory.load(Buffer.from(frames), 5, 0), 1496);
    memory.forget(700);
    assert.deepEqual(textsOf(memory.cut(700, { eventsMax: 1e6, bytesMax: 1e9 }, 0)!.slices), range(701, 1500));
    assert.strictEqual(new Memory().load(Buffer.from('garbage'), 1, 0), -1);
  });
});

function filled(first: number, count: number, bytes: number): Memory {
  const memory = new Memory();
  for (let seq = first; seq < first + count; seq++) append(memory, seq, bytes, 0);
  return memory;
}

function append(memory: Memory, seq: number, bytes: number, now: number): void {
  if (memory.needsChunk(bytes + 6)) memory.addChunk(seq, bytes + 6, now);
  const frame = frameEvents([Buffer.from(`${seq}`.padEnd(bytes))]).slices[0]!;
  const { buffer, length } = memory.open;
  buffer.set(frame, length);
  memory.appended(length + frame.length);
}

function textsOf(slices: readonly Uint8Array[]): number[] {
  const texts: number[] = [];
  for (const slice of slices) {
    const reader = new ProtobufReader().over(slice);
    while (reader.next()) texts.push(Number(Buffer.from(reader.content()).toString()));
  }
  return texts;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
