import { type ByteRange, bytesOfFile } from '#platform/files';
import { joinBytes } from './internal/bytes.js';
import { checkCount, checkOneOf, checkOptions, wrongType } from './internal/validate.js';
import { unpacked } from './jsonl/unpacked.js';
import { chunksOf, type WebSource, webStreamOf } from './jsonl/web-sources.js';
import type { TrainingExample } from './types.js';

export interface ReadJsonlOptions {
  /**
   * Whether a line that is no JSON object ends the reading with an error, or is skipped. A source whose lines would all be
   * skipped is always an error.
   *
   * @default 'throw'
   */
  onError?: 'throw' | 'skip';
  /**
   * First byte to read of a path, at least 0. It must be where a line starts, as `splitJsonl` gives it.
   *
   * @default 0
   */
  from?: number | undefined;
  /**
   * The byte after the last one to read of a path, at least `from`.
   *
   * @default the end of the file
   */
  to?: number | undefined;
}

/** What `readJsonl` reads. A path is for runtimes that have files. */
export type JsonlSource = string | URL | AsyncIterable<Uint8Array | string> | WebSource;

const NEWLINE = 0x0a;
const encoder = new TextEncoder();

/**
 * Reads records from a JSON Lines file, one at a time, whatever its size. A byte-order mark, CRLF and blank lines are
 * allowed. What starts as gzip does is decompressed, whatever its name.
 *
 * @typeParam T The type of the records. It is not checked here. `DataPreprocessor.process` checks the fields.
 * @param source One of these. A path needs a runtime that has files.
 *   - a path
 *   - a stream of bytes or text: `process.stdin`, any async iterable, or a web `ReadableStream`
 *   - a `Blob`, a `File` or a `Response`
 *   - an interface of `node:readline`
 * @returns An async generator of the records. The file is closed when the loop over it ends, early too.
 * @throws TypeError at the call for a wrong argument. While reading: RangeError with the line's number for a line that is
 *   not UTF-8, not JSON or not an object; RangeError that names the format for UTF-16, archives and other formats; and any
 *   error of the stream.
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
  source: JsonlSource,
  options: ReadJsonlOptions = {},
): AsyncGenerator<T, void, undefined> {
  checkOptions('readJsonl', options);
  const onError = checkOneOf('readJsonl', 'onError', options.onError ?? 'throw', ['throw', 'skip']);
  const { stream, label } = streamOf(source, rangeOf(source, options));
  return records<T>(stream, label, onError);
}

type Chunks = AsyncIterable<Uint8Array | string>;

/** The source as a stream that is opened when it is read, with its name for messages. */
function streamOf(source: JsonlSource, range: ByteRange | undefined): { stream: () => Chunks; label: string } {
  if (isPath(source)) {
    const bytes = range ? ` from byte ${range.from}` : '';
    return { stream: () => bytesOfFile('readJsonl', source, range), label: ` of ${String(source)}${bytes}` };
  }
  if (typeof source === 'object' && source !== null) {
    if (Symbol.asyncIterator in source) return { stream: () => source, label: '' };
    const web = webStreamOf('readJsonl', source);
    if (web) return { stream: () => chunksOf(web), label: '' };
  }
  throw wrongType('readJsonl', 'source', 'a path, a stream, a Blob or a Response', source);
}

function isPath(source: unknown): source is string | URL {
  return typeof source === 'string' || source instanceof URL;
}

/** The bytes to read of a path. Undefined for all. */
function rangeOf(source: JsonlSource, { from, to }: ReadJsonlOptions): ByteRange | undefined {
  const call = 'readJsonl';
  if (from === undefined && to === undefined) return undefined;
  if (!isPath(source)) throw new RangeError(`${call}: from and to are for a path; cut the stream instead`);
  const range = { from: checkCount(call, 'from', from === undefined ? 0 : from, 0), to: Infinity };
  if (to !== undefined) range.to = checkCount(call, 'to', to, range.from);
  return range;
}

async function* records<T>(
  open: () => Chunks,
  label: string,
  onError: 'throw' | 'skip',
): AsyncGenerator<T, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  let isAnyRead = false;
  let firstError: RangeError | undefined;
  const stream = open();
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
      const isArray = number === 1 && new TextDecoder().decode(line).trimStart().startsWith('[');
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
  for await (const line of lines) yield encoder.encode(line);
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
      bytes = encoder.encode(half === '' ? text : text.slice(0, -1));
    }
    if (!(bytes instanceof Uint8Array)) throw wrongType('readJsonl', 'each chunk of source', 'bytes or text', chunk);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      parts.push(bytes.subarray(start, end));
      yield joinBytes(parts);
      parts = [];
      start = end + 1;
    }
    if (start < bytes.length) parts.push(bytes.subarray(start));
  }
  if (half !== '') parts.push(encoder.encode(half));
  if (parts.length > 0) yield joinBytes(parts);
}
