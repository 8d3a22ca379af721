/**
 * The disk format is frozen. A store that was written by an earlier version must be read by every later one, so where one of these tests
 * fails, the format has changed: give blob, row or store a new version number, keep reading the old one, and add files to test/golden/
 * beside these, which stay as they are.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assert } from 'chai';
import type { Epoch, NewEntry } from '../../core/journal.ts';
import { BlobBuilder, readBlob } from '../../journal/blob.ts';
import { FORMAT } from '../../journal/store-state.ts';
import { blobKey, rowKey } from '../../journal/keys.ts';
import { MemoryJournal, MemoryStorage } from '../../journal/memory-journal.ts';
import { decodeRecord, encodeRecord } from '../../journal/row-record.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { newEntry, plain, readLane, SERIES_A, SERIES_B } from '../support/journal-entries.ts';

const FROZEN = 'the disk format is frozen: a change of it needs a new version (see the head of this file)';
const NOW = Date.UTC(2026, 10, 22, 8);
const EPOCH: Epoch = { number: 3, birth: NOW, first: { urgent: 1, normal: 1000 }, stamp: { site: 'plant-7', labels: { region: 'eu' } } };
const ENTRIES: NewEntry[] = [
  newEntry(1, 'first'),
  newEntry(7, 'made', { series: SERIES_B, kind: 'made' }),
  newEntry(300, 'folded', { kind: 'folded', first: 1000 }),
  newEntry(2 ** 40, '', { series: SERIES_B }),
];
const ROW = { name: 'ops', since: NOW, text: 'größe 🚢', nothing: null };

/** Hex of a file of test/golden/; what follows # on a line is for people. */
function golden(name: string): string {
  const text = readFileSync(fileURLToPath(new URL(`../golden/${name}.hex`, import.meta.url)), 'utf8');
  return text.replaceAll(/#.*/g, '').replaceAll(/\s/g, '');
}

describe('the disk format', () => {
  const built = (): Buffer => {
    const builder = new BlobBuilder('normal', 4096);
    for (const [at, entry] of ENTRIES.entries()) builder.append(1000 + at, entry, EPOCH, NOW);
    builder.cut();
    assert.lengthOf(builder.blobs, 1);
    return builder.blobs[0]!.value;
  };

  it('writes the same bytes for a blob as ever', () => {
    assert.equal(built().toString('hex'), golden('blob-v2'), FROZEN);
    assert.equal(blobKey('normal', 1000).toString('hex'), golden('blob-v2-key'), FROZEN);
    assert.equal(blobKey('urgent', 1).toString('latin1'), 'e0\0\0\0\0\0\0\0\u0001', FROZEN);
  });

  it('reads a blob that was written with version 2', () => {
    const value = Buffer.from(golden('blob-v2'), 'hex');
    const entries = readBlob({ lane: 'normal', first: 1000, key: blobKey('normal', 1000), value }, () => EPOCH);
    const common = { lane: 'normal', epoch: EPOCH, receivedAt: NOW };
    assert.deepEqual(
      plain(entries),
      [
        { ...common, position: 1000, series: SERIES_A, seq: 1, kind: 'accepted', first: 0, text: 'first' },
        { ...common, position: 1001, series: SERIES_B, seq: 7, kind: 'made', first: 0, text: 'made' },
        { ...common, position: 1002, series: SERIES_A, seq: 300, kind: 'folded', first: 1000, text: 'folded' },
        { ...common, position: 1003, series: SERIES_B, seq: 2 ** 40, kind: 'accepted', first: 0, text: '' },
      ],
      FROZEN,
    );
  });

  it('writes the same bytes for a row as ever, and reads them', () => {
    const key = rowKey('f:ops');
    assert.equal(encodeRecord(key, ROW, 12_345).toString('hex'), golden('row-v1'), FROZEN);
    assert.deepEqual(decodeRecord(key, Buffer.from(golden('row-v1'), 'hex')), { value: ROW, commit: 12_345 }, FROZEN);
  });

  it('opens a whole store of format 2: its own rows, its entries', async () => {
    assert.equal(FORMAT, 2, FROZEN);
    const storage = new MemoryStorage();
    const put = (name: string, value: unknown): void => storage.apply([{ key: rowKey(name), value: encodeRecord(rowKey(name), value, 7) }]);
    put('m:journal', { format: 2, id: '0199e0c4-7b1e-7000-8000-0000000000ff' });
    put('m:epochs', { id: '0199e0c4-7b1e-7000-8000-0000000000ff', epochs: [EPOCH] });
    put('m:lanes', {
      urgent: { head: 1, tail: 1, offset: 0, tailOffset: 0 },
      normal: { head: 1004, tail: 1002, offset: 4300, tailOffset: 4096 },
    });
    storage.apply([{ key: Buffer.from(golden('blob-v2-key'), 'hex'), value: Buffer.from(golden('blob-v2'), 'hex') }]);
    const journal = await MemoryJournal.open({ clock: new FakeClock(), stamp: { site: 'other' }, storage });
    assert.equal(journal.id, '0199e0c4-7b1e-7000-8000-0000000000ff');
    assert.deepEqual(journal.epochs[0], EPOCH);
    assert.deepEqual([journal.tail('normal'), journal.head('normal'), journal.epochs.at(-1)!.number], [1002, 1004, 4]);
    assert.deepEqual(
      (await readLane(journal, 'normal')).entries.map((entry) => [entry.position, entry.bytes.toString()]),
      [
        [1002, 'folded'],
        [1003, ''],
      ],
    );
  });
});
