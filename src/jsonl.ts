import { createReadStream } from 'node:fs';
import { checkOneOf, checkOptions, wrongType } from './internal/validate.js';
import type { TrainingExample } from './types.js';

export interface ReadJsonlOptions {
  /** What a line that is no JSON object does: end the reading with an error, or be left out. Default `'throw'`. */
  onError?: 'throw' | 'skip';
}

const NEWLINE = 0x0a;

/**
 * Reads records from a JSON Lines file, one at a time, whatever its size. A byte-order mark, CRLF and blank lines are
 * allowed.
 *
 * @typeParam T The records' type; not checked here, `DataPreprocessor.process` checks its fields.
 * @param source A path, or a stream of bytes or text such as `process.stdin`.
 * @returns An async generator of the records. The file is closed when the loop over it ends, early too.
 * @throws TypeError at the call for a wrong argument; while reading, what the stream throws, and for a line that is not
 *   UTF-8, not JSON or not an object a RangeError with the line's number.
 *
 * @example
 * ```js
 * import { Readable } from 'node:stream';
 * import { readJsonl } from 'microlora-training-utils';
 *
 * const lines = Readable.from(['{"input": "Hello", "output": "World"}\n']);
 * for await (const { input, output } of readJsonl(lines)) console.log(input, output); // Hello World
 * ```
 */
export function readJsonl<T extends object = TrainingExample>(
  source: string | URL | AsyncIterable<Uint8Array | string>,
  options: ReadJsonlOptions = {},
): AsyncGenerator<T, void, undefined> {
  checkOptions('readJsonl', options);
  const onError = checkOneOf('readJsonl', 'onError', options.onError ?? 'throw', ['throw', 'skip']);
  const isPath = typeof source === 'string' || source instanceof URL;
  const isStream = typeof source === 'object' && source !== null && Symbol.asyncIterator in source;
  if (!isPath && !isStream) throw wrongType('readJsonl', 'source', 'a path or a readable stream', source);
  return records<T>(source, onError);
}

async function* records<T>(
  source: string | URL | AsyncIterable<Uint8Array | string>,
  onError: 'throw' | 'skip',
): AsyncGenerator<T, void, undefined> {
  const isPath = typeof source === 'string' || source instanceof URL;
  const label = isPath ? ` of ${String(source)}` : '';
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  for await (const line of linesOf(isPath ? createReadStream(source) : source)) {
    number++;
    let record: unknown;
    try {
      const text = decoder.decode(line);
      if (text.trim() === '') continue;
      record = JSON.parse(text);
      if (typeof record !== 'object' || record === null || Array.isArray(record)) throw new TypeError('not an object');
    } catch (cause) {
      if (onError === 'skip') continue;
      throw new RangeError(`readJsonl: line ${number}${label}: ${(cause as Error).message}`, { cause });
    }
    yield record as T;
  }
}

/**
 * Cuts a stream into lines of bytes. `node:readline` would also cut at U+2028 and U+2029, which JSON allows in strings,
 * and could not tell which line holds invalid UTF-8.
 */
async function* linesOf(stream: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array, void, undefined> {
  let parts: Uint8Array[] = [];
  // A text chunk may end in the first half of a character outside the basic plane.
  let half = '';
  for await (const chunk of stream) {
    let bytes = chunk;
    if (typeof bytes === 'string') {
      const text = half + bytes;
      half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? '';
      bytes = Buffer.from(half === '' ? text : text.slice(0, -1));
    }
    if (!(bytes instanceof Uint8Array)) throw wrongType('readJsonl', 'each chunk of source', 'bytes or text', chunk);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      parts.push(bytes.subarray(start, end));
      yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      parts = [];
      start = end + 1;
    }
    if (start < bytes.length) parts.push(bytes.subarray(start));
  }
  if (half !== '') parts.push(Buffer.from(half));
  if (parts.length > 0) yield Buffer.concat(parts);
}
