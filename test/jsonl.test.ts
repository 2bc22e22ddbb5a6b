import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readJsonl } from '../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'jsonl-'));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, 'pairs.jsonl');

describe('readJsonl', () => {
  it('reads a file by path and by URL: byte-order mark, CRLF, blank lines, no newline at the end', async () => {
    writeFileSync(path, '\uFEFF{"input":"a","output":"1"}\r\n\r\n  \n{"input":"b","output":"\u2028"}');
    const expected = [
      { input: 'a', output: '1' },
      { input: 'b', output: '\u2028' },
    ];
    expect(await all(readJsonl(path))).toEqual(expected);
    expect(await all(readJsonl(pathToFileURL(path)))).toEqual(expected);
  });

  it('reads text that was cut between the two halves of a character', async () => {
    const text = '{"input":"😀","output":"𝄞"}\n';
    expect(await all(readJsonl(Readable.from(text.split(''))))).toEqual([{ input: '😀', output: '𝄞' }]);
  });

  it('reads what was written, wherever the stream is cut', async () => {
    const records = fc.array(
      fc.record({ input: fc.string({ unit: 'binary' }), output: fc.string({ unit: 'grapheme' }) }),
      { minLength: 1 },
    );
    await fc.assert(
      fc.asyncProperty(records, fc.integer({ min: 1, max: 7 }), async (written, size) => {
        // Lone surrogates are no UTF-8.
        const clean = JSON.parse(JSON.stringify(written).replaceAll(/\\ud[89a-f]../gi, '?')) as typeof written;
        const bytes = Buffer.from(clean.map(record => JSON.stringify(record)).join('\n'));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        expect(await all(readJsonl(Readable.from(chunks)))).toEqual(clean);
      }),
    );
  });

  it('takes a stream of text', async () => {
    expect(await all(readJsonl(Readable.from(['{"input":"a",', '"output":"ü"}\n'])))).toEqual([
      { input: 'a', output: 'ü' },
    ]);
    expect(await all(readJsonl(Readable.from([])))).toEqual([]);
  });

  it.each([
    ['{"input": ', 'line 2: '],
    ['[1]', 'line 2: not an object'],
    ['null', 'line 2: not an object'],
    [Buffer.of(0x22, 0xff, 0x22), 'line 2: The encoded data was not valid'],
  ])('names the line of %j, or skips it', async (line, message) => {
    const source = (): Readable =>
      Readable.from([
        Buffer.from('{"input":"a","output":"b"}\n'),
        Buffer.from(line),
        Buffer.from('\n{"input":"c","output":"d"}\n'),
      ]);
    await expect(all(readJsonl(source()))).rejects.toThrow(message);
    await expect(all(readJsonl(source()))).rejects.toBeInstanceOf(RangeError);
    expect(await all(readJsonl(source(), { onError: 'skip' }))).toHaveLength(2);
  });

  it('names the file, and passes on that there is none', async () => {
    writeFileSync(path, 'x');
    await expect(all(readJsonl(path))).rejects.toThrow(`readJsonl: line 1 of ${path}: `);
    await expect(all(readJsonl(join(folder, 'none')))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('closes the stream when the loop ends early', async () => {
    const stream = Readable.from(['{"a":1}\n', '{"a":2}\n']);
    for await (const record of readJsonl(stream)) {
      expect(record).toEqual({ a: 1 });
      break;
    }
    expect(stream.destroyed).toBe(true);
  });
});

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of source) values.push(value);
  return values;
}
