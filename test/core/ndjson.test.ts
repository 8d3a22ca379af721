import { assert } from 'chai';
import fc from 'fast-check';
import { readLines, type Line } from '../../core/ndjson.ts';

async function linesOf(...chunks: (string | Buffer)[]): Promise<Line[]> {
  async function* input(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield Buffer.from(chunk as string);
  }
  const lines: Line[] = [];
  for await (const line of readLines(input())) lines.push(line);
  return lines;
}

const texts = (lines: readonly Line[]): [number, string][] => lines.map(({ number, text }) => [number, text]);

describe('NDJSON', () => {
  it('is split on \\n only, wherever chunks end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' })), fc.integer({ min: 1, max: 7 }), async (parts, size) => {
        const bytes = Buffer.from(parts.map((part) => JSON.stringify(part)).join('\n'));
        const chunks: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
        const lines = await linesOf(...chunks);
        assert.deepEqual(
          lines.map(({ text }) => JSON.parse(text) as string),
          parts,
        );
      }),
      { numRuns: 60 },
    );
    assert.deepEqual(texts(await linesOf('"a\u2028b\u2029c\u0085d"\n"e"')), [
      [1, '"a\u2028b\u2029c\u0085d"'],
      [2, '"e"'],
    ]);
  });

  it('counts blank lines and passes them over, takes CRLF, a byte order mark and a last line without an end', async () => {
    assert.deepEqual(texts(await linesOf('\ufeff1\r\n\n  \t\n2\n\n3')), [
      [1, '1\r'],
      [4, '2'],
      [6, '3'],
    ]);
    assert.deepEqual(await linesOf(''), []);
    assert.deepEqual(await linesOf('\n\n'), []);
  });

  it('tells how far it has come, in bytes', async () => {
    assert.deepEqual(
      (await linesOf('é\nab', 'c\nd')).map(({ end }) => end),
      [3, 7, 8],
    );
  });

  it('names a line that is no UTF-8, or too long, and goes on', async () => {
    const lines = await linesOf('1\n', Buffer.from([0x22, 0xff, 0x22, 0x0a]), 'x'.repeat(400_000), 'x'.repeat(400_000), '\n2');
    assert.deepEqual(
      lines.map(({ number, problem }) => [number, problem]),
      [
        [1, undefined],
        [2, 'a line must be UTF-8, got other bytes'],
        [3, 'a line must be at most 524288 bytes, got 800000'],
        [4, undefined],
      ],
    );
  });
});
