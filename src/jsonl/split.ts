import { bytesOfFile } from '#platform/files';
import { checkCount, checkOptions, wrongType } from '../internal/validate.js';

export interface SplitJsonlOptions {
  /** Most records in a part, at least 1. */
  rows: number;
}

/** A part of a file. */
export interface JsonlPart {
  /** Its first byte. */
  from: number;
  /** The byte after its last one. */
  to: number;
  /** Number of lines that are not blank. */
  rows: number;
}

const NEWLINE = 0x0a;
/** Space, tab, carriage return, newline. */
const BLANK = new Set([0x20, 0x09, 0x0d, NEWLINE]);
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/**
 * Cuts a JSON Lines file into parts of whole lines, so that each can be read by another process: pass a part's `from` and
 * `to` to `readJsonl`. The file is read once and not kept.
 *
 * @param path The file. It may not be compressed, as a part of such a file cannot be read by itself.
 * @returns The parts in order, without gaps. None for a file without records.
 * @throws TypeError or RangeError at the call for a wrong argument; RangeError for gzip; what the file system throws.
 *
 * @example
 * ```js
 * import { writeFileSync } from 'node:fs';
 * import { readJsonl, splitJsonl } from 'microlora-training-utils';
 *
 * writeFileSync('pairs.jsonl', '{"input":"a","output":"1"}\n{"input":"b","output":"2"}\n{"input":"c","output":"3"}\n');
 * for (const { from, to, rows } of await splitJsonl('pairs.jsonl', { rows: 2 })) {
 *   for await (const { input } of readJsonl('pairs.jsonl', { from, to })) console.log(rows, input); // 2 a, 2 b, 1 c
 * }
 * ```
 */
export function splitJsonl(path: string | URL, options: SplitJsonlOptions): Promise<JsonlPart[]> {
  const call = 'splitJsonl';
  if (typeof path !== 'string' && !(path instanceof URL)) throw wrongType(call, 'path', 'a path', path);
  checkOptions(call, options);
  return partsOf(call, path, checkCount(call, 'rows', options.rows));
}

async function partsOf(call: string, path: string | URL, rows: number): Promise<JsonlPart[]> {
  const parts: JsonlPart[] = [];
  let part: JsonlPart = { from: 0, to: 0, rows: 0 };
  let offset = 0;
  let isBlank = true;
  const endLine = (end: number): void => {
    if (!isBlank) part.rows++;
    part.to = end;
    isBlank = true;
    if (part.rows < rows) return;
    parts.push(part);
    part = { from: end, to: end, rows: 0 };
  };
  for await (const chunk of bytesOfFile(call, path)) {
    if (offset === 0 && chunk[0] === 0x1f && chunk[1] === 0x8b)
      throw new RangeError(`${call}: ${String(path)} is gzip; decompress it first`);
    let start = offset === 0 && BYTE_ORDER_MARK.every((byte, i) => chunk[i] === byte) ? BYTE_ORDER_MARK.length : 0;
    for (let end = chunk.indexOf(NEWLINE, start); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      isBlank &&= isBlankBetween(chunk, start, end);
      endLine(offset + end + 1);
      start = end + 1;
    }
    isBlank &&= isBlankBetween(chunk, start, chunk.length);
    offset += chunk.length;
  }
  if (offset > part.to) endLine(offset);
  // Blank lines at the end belong to the last part.
  if (part.rows > 0) parts.push(part);
  else if (parts.length > 0) parts.at(-1)!.to = offset;
  return parts;
}

function isBlankBetween(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (!BLANK.has(bytes[i]!)) return false;
  return true;
}
