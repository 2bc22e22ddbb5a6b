import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readJsonl, splitJsonl } from '../../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'split-jsonl-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'pairs.jsonl');
const untyped = (value: unknown): never => value as never;

async function all(from?: number, to?: number): Promise<unknown[]> {
  const records: unknown[] = [];
  for await (const record of readJsonl(path, { from, to })) records.push(record);
  return records;
}

describe('splitJsonl', () => {
  it('cuts a file into parts of whole lines, which give its records together', async () => {
    const line = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ input: fc.string({ unit: 'binary' }) }).map(record => JSON.stringify(record)),
      },
      fc.constantFrom('', '  ', '\t\r'),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 20 }),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        fc.boolean(),
        async (lines, rows, newline, isEnded, hasMark) => {
          const text = (hasMark ? '\uFEFF' : '') + lines.join(newline) + (isEnded ? newline : '');
          writeFileSync(path, text);
          const whole = await all();
          const parts = await splitJsonl(path, { rows });
          let end = 0;
          for (const [i, part] of parts.entries()) {
            expect(part.from).toBe(end);
            end = part.to;
            expect(part.rows).toBe(i < parts.length - 1 ? rows : whole.length - i * rows);
            expect(await all(part.from, part.to)).toEqual(whole.slice(i * rows, i * rows + part.rows));
          }
          expect(end).toBe(whole.length === 0 ? 0 : Buffer.byteLength(text));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('cuts files that are longer than a chunk of the stream', async () => {
    const records = Array.from({ length: 3000 }, (_, i) => ({ input: `é${i}`.repeat(1 + (i % 40)) }));
    writeFileSync(path, records.map(record => JSON.stringify(record)).join('\n'));
    const parts = await splitJsonl(pathToFileURL(path), { rows: 700 });
    expect(parts.map(part => part.rows)).toEqual([700, 700, 700, 700, 200]);
    const read = await Promise.all(parts.map(({ from, to }) => all(from, to)));
    expect(read.flat()).toEqual(records);
  });

  it('tells the line within its part, and the part', async () => {
    writeFileSync(path, '{"a":1}\n{"a":2}\nnot JSON\n');
    await expect(all(8)).rejects.toThrow(`readJsonl: line 2 of ${path} from byte 8: `);
  });

  it('reads an empty part as no records', async () => {
    writeFileSync(path, '{"a":1}\n');
    expect(await all(8, 8)).toEqual([]);
    expect(await all(0, 0)).toEqual([]);
  });

  it('refuses gzip, and wrong arguments at the call', async () => {
    writeFileSync(path, gzipSync('{"a":1}\n'));
    await expect(splitJsonl(path, { rows: 1 })).rejects.toThrow(`splitJsonl: ${path} is gzip; decompress it first`);
    await expect(splitJsonl(join(folder, 'none'), { rows: 1 })).rejects.toThrow('ENOENT');
    expect(() => splitJsonl(path, { rows: 0 })).toThrow('splitJsonl: rows must be an integer of at least 1, got 0');
    expect(() => splitJsonl(path, untyped({}))).toThrow('splitJsonl: rows must be');
    expect(() => splitJsonl(untyped(3), { rows: 1 })).toThrow('splitJsonl: path must be a path, got 3');
    expect(() => readJsonl(path, { from: -1 })).toThrow('readJsonl: from must be an integer of at least 0, got -1');
    expect(() => readJsonl(path, { from: 5, to: 4 })).toThrow('readJsonl: to must be an integer of at least 5, got 4');
    expect(() => readJsonl(new Blob(['{}']), { from: 0 })).toThrow('readJsonl: from and to are for a path');
  });
});
