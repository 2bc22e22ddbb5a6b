import { createReadStream } from 'node:fs';
import { checkOneOf, checkOptions, wrongType } from './internal/validate.js';
import { unpacked } from './jsonl/unpacked.js';
import type { TrainingExample } from './types.js';

export interface ReadJsonlOptions {
  /**
   * What a line that is no JSON object does: end the reading with an error, or be skipped. A source of which every line
   * would be skipped is an error all the same. Default `'throw'`.
   */
  onError?: 'throw' | 'skip';
}

const NEWLINE = 0x0a;

/**
 * Reads records from a JSON Lines file, one at a time, whatever its size. A byte-order mark, CRLF and blank lines are
 * allowed. What starts as gzip does is decompressed, whatever its name.
 *
 * @typeParam T The records' type; not checked here, `DataPreprocessor.process` checks its fields.
 * @param source A path; a stream of bytes or text such as `process.stdin`; or an interface of `node:readline`.
 * @returns An async generator of the records. The file is closed when the loop over it ends, early too.
 * @throws TypeError at the call for a wrong argument; while reading, what the stream throws; for a line that is not
 *   UTF-8, not JSON or not an object a RangeError with the line's number; and for UTF-16, archives and other formats a
 *   RangeError that says what the source seems to be.
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
  let isAnyRead = false;
  let firstError: RangeError | undefined;
  const stream = isPath ? createReadStream(source) : source;
  for await (const line of isReadline(stream) ? encoded(stream) : linesOf(unpacked(stream, label))) {
    number++;
    let record: unknown;
    try {
      const text = decoder.decode(line);
      if (text.trim() === '') continue;
      record = JSON.parse(text);
      if (typeof record !== 'object' || record === null || Array.isArray(record)) throw new TypeError('not an object');
    } catch (cause) {
      const message = `readJsonl: line ${number}${label}: ${(cause as Error).message}`;
      const isArray = number === 1 && Buffer.from(line).toString().trimStart().startsWith('[');
      const advice = isArray ? '; a file that is one JSON array is read with JSON.parse' : '';
      firstError ??= new RangeError(message + advice, { cause });
      if (onError === 'skip') continue;
      throw firstError;
    }
    isAnyRead = true;
    yield record as T;
  }
  if (firstError && !isAnyRead) throw firstError;
}

function isReadline(source: object): source is AsyncIterable<string> {
  return 'setPrompt' in source && 'line' in source;
}

/** An interface of `node:readline` has cut its lines itself. */
async function* encoded(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const line of lines) yield Buffer.from(line);
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
