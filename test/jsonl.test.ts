import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { BatchGenerator, DataPreprocessor, readJsonl, splitPairs } from '../src/index.js';

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

  it('reads text that is cut between the two halves of a character', async () => {
    const text = '{"input":"😀","output":"𝄞"}\n';
    expect(await all(readJsonl(Readable.from(text.split(''))))).toEqual([{ input: '😀', output: '𝄞' }]);
  });

  it('reads the written records for every cut of the stream', async () => {
    const records = fc.array(
      fc.record({ input: fc.string({ unit: 'binary' }), output: fc.string({ unit: 'grapheme' }) }),
      { minLength: 1 },
    );
    await fc.assert(
      fc.asyncProperty(records, fc.integer({ min: 1, max: 7 }), async (written, size) => {
        // Lone surrogates are not valid in UTF-8.
        const clean = JSON.parse(JSON.stringify(written).replaceAll(/\\ud[89a-f]../gi, '?')) as typeof written;
        const bytes = Buffer.from(clean.map(record => JSON.stringify(record)).join('\n'));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        expect(await all(readJsonl(Readable.from(chunks)))).toEqual(clean);
      }),
    );
  });

  it('accepts a stream of text', async () => {
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

  it('names the file in errors, and passes on the error of a missing file', async () => {
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

describe('input that is not plain JSON Lines', () => {
  const lines = '{"input":"a","output":"ü"}\n{"input":"b","output":"2"}\n';
  const records = [
    { input: 'a', output: 'ü' },
    { input: 'b', output: '2' },
  ];

  it('is decompressed where it is gzip, for every name and every cut', async () => {
    const twoMembers = Buffer.concat([gzipSync(lines.slice(0, 30)), gzipSync(lines.slice(30))]);
    for (const packed of [gzipSync(lines), twoMembers]) {
      for (const name of ['pairs.jsonl.gz', 'misnamed.jsonl']) {
        writeFileSync(join(folder, name), packed);
        expect(await all(readJsonl(join(folder, name)))).toEqual(records);
      }
      for (const size of [1, 2, 3, 7]) {
        const chunks = Array.from({ length: Math.ceil(packed.length / size) }, (_, i) =>
          packed.subarray(i * size, (i + 1) * size),
        );
        expect(await all(readJsonl(Readable.from(chunks)))).toEqual(records);
      }
    }
  });

  it('is closed where a loop over gzip ends early, and causes an error where gzip is cut off or the stream fails', async () => {
    const packed = gzipSync(lines);
    for await (const record of readJsonl(Readable.from([packed, packed]))) {
      expect(record).toEqual(records[0]);
      break;
    }
    const file = createReadStream(join(folder, 'pairs.jsonl.gz'));
    for await (const _ of readJsonl(file)) break;
    expect(file.destroyed).toBe(true);
    await expect(all(readJsonl(Readable.from([packed.subarray(0, 30)])))).rejects.toThrow(
      'readJsonl: source is damaged gzip: unexpected end of file',
    );
    const damaged = Buffer.from(packed);
    damaged.fill(0xff, 12, 40);
    await expect(all(readJsonl(Readable.from([damaged])))).rejects.toThrow('readJsonl: source is damaged gzip: ');
    await expect(all(readJsonl(Readable.from([gzipSync(packed)])))).rejects.toThrow(
      'readJsonl: source seems to be gzip inside gzip; decompress it once',
    );
    await expect(all(readJsonl(Readable.from([gzipSync(Buffer.from(lines, 'utf16le'))])))).rejects.toThrow(
      'readJsonl: source seems to be UTF-16; save it as UTF-8',
    );
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield packed.subarray(0, 30);
      throw new Error('disk on fire');
    };
    await expect(all(readJsonl(failing()))).rejects.toThrow('disk on fire');
  });

  it.each([
    ['UTF-16; save it as UTF-8', Buffer.from(`\uFEFF${lines}`, 'utf16le')],
    ['UTF-16; save it as UTF-8', Buffer.from(lines, 'utf16le')],
    ['UTF-16; save it as UTF-8', Buffer.from(`\uFEFF${lines}`, 'utf16le').swap16()],
    ['UTF-16; save it as UTF-8', Buffer.from(lines, 'utf16le').swap16()],
    ['a zip archive', Buffer.from('PK\u0003\u0004and so on')],
    ['zstd; decompress it first', Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, 1, 2)],
    ['Parquet', Buffer.from('PAR1 and so on')],
    ['a pointer of Git LFS', Buffer.from('version https://git-lfs.github.com/spec/v1\n')],
  ])('is named in the error: %s', async (words, bytes) => {
    writeFileSync(path, bytes);
    for (const onError of ['throw', 'skip'] as const) {
      const reading = all(readJsonl(path, { onError }));
      await expect(reading).rejects.toThrow(`readJsonl: source of ${path} seems to be ${words}`);
      for (const size of [1, 3, 50]) {
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        await expect(all(readJsonl(Readable.from(chunks), { onError }))).rejects.toThrow(`source seems to be ${words}`);
      }
    }
  });

  it('is read from UTF-16 through a stream that decodes it', async () => {
    writeFileSync(path, Buffer.from(`\uFEFF${lines}`, 'utf16le'));
    expect(await all(readJsonl(createReadStream(path, 'utf16le')))).toEqual(records);
  });

  it('is an error at its first line where no line can be read, also with skip', async () => {
    const array = JSON.stringify(records, null, 2);
    for (const onError of ['throw', 'skip'] as const) {
      await expect(all(readJsonl(Readable.from([array]), { onError }))).rejects.toThrow(/line 1: .*one JSON array/);
      await expect(all(readJsonl(Readable.from([`[${array}`]), { onError }))).rejects.toBeInstanceOf(RangeError);
      expect(await all(readJsonl(Readable.from(['\n \n']), { onError }))).toEqual([]);
    }
  });

  it('may be the lines of a readline interface or of a FileHandle', async () => {
    writeFileSync(path, lines);
    expect(await all(readJsonl(createInterface({ input: createReadStream(path) })))).toEqual(records);
    const handle = await open(path);
    expect(await all(readJsonl(handle.readLines()))).toEqual(records);
    const bad = createInterface({ input: Readable.from(['{"a":1}\n\nx\n']) });
    await expect(all(readJsonl(bad))).rejects.toThrow('readJsonl: line 3: ');
  });

  it('is refused as a source of examples too', async () => {
    writeFileSync(path, lines);
    const words =
      'DataPreprocessor.process: examples[0] must be an object, got a Buffer; read the records of a file with readJsonl';
    await expect(new DataPreprocessor().process(createReadStream(path) as never)).rejects.toThrow(words);
    const text = /examples\[0\] must be an object, got "[\s\S]*"; read the records of a file with readJsonl/;
    await expect(new DataPreprocessor().process(createReadStream(path, 'utf8') as never)).rejects.toThrow(text);
    await expect(new DataPreprocessor().process(path as never)).rejects.toThrow('read a file with readJsonl');
    expect(await new DataPreprocessor().process(readJsonl(path))).toHaveLength(2);
    expect(() => splitPairs(readJsonl(path) as never)).toThrow('collect what it gives in an array first');
    expect(() => new BatchGenerator(Promise.resolve([]) as never)).toThrow('got a Promise; await it first');
  });
});

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of source) values.push(value);
  return values;
}
