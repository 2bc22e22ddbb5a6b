import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readJsonl, type WebStream } from '../../src/index.js';

const TEXT = '{"input":"Grüße","output":"a"}\n{"input":"b","output":"c"}\n';
const RECORDS = [
  { input: 'Grüße', output: 'a' },
  { input: 'b', output: 'c' },
];

async function all(source: Parameters<typeof readJsonl>[0]): Promise<object[]> {
  const records: object[] = [];
  for await (const record of readJsonl(source)) records.push(record);
  return records;
}

/** A stream as in browsers where it cannot be iterated. */
function stream(bytes: Uint8Array, onCancel = (): void => {}): WebStream {
  let at = 0;
  return {
    getReader: () => ({
      read: async () => (at < bytes.length ? { done: false, value: bytes.subarray(at, (at += 7)) } : { done: true }),
      cancel: async () => onCancel(),
      releaseLock: () => {},
    }),
  };
}

describe('readJsonl', () => {
  it.each<[string, () => Parameters<typeof readJsonl>[0]]>([
    ['a Blob', () => new Blob([TEXT])],
    ['a Blob of gzip', () => new Blob([Uint8Array.from(gzipSync(TEXT))])],
    ['a Response', () => new Response(TEXT)],
    ['a ReadableStream', () => new Blob([TEXT]).stream()],
    ['a ReadableStream that cannot be iterated', () => stream(Buffer.from(TEXT))],
    ['the same of gzip', () => stream(gzipSync(TEXT))],
  ])('reads %s', async (_, source) => {
    expect(await all(source())).toEqual(RECORDS);
  });

  it('reads a Response without a body as no records', async () => {
    expect(await all(new Response(null))).toEqual([]);
  });

  it('cancels a stream that is not read to its end', async () => {
    let isCancelled = false;
    const source = stream(Buffer.from(TEXT), () => {
      isCancelled = true;
    });
    for await (const record of readJsonl(source)) {
      expect(record).toEqual(RECORDS[0]);
      break;
    }
    expect(isCancelled).toBe(true);
  });

  it('refuses the response of a request that failed, at the call', () => {
    expect(() => readJsonl(new Response('Not found', { status: 404 }))).toThrow(
      'readJsonl: source is a response of status 404',
    );
  });

  it.each([null, undefined, 3, {}, []])('refuses %j', source => {
    expect(() => readJsonl(source as never)).toThrow(
      /^readJsonl: source must be a path, a stream, a Blob or a Response, got /,
    );
  });
});
