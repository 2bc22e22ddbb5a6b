import { type UnitRows, unitRows } from '../kernels/packed-rows.js';
import type { Rows } from '../types.js';

/** Most numbers in a chunk of queries, and most that are kept for it: 4 MiB each in float32. */
const ENTRIES = 2 ** 20;
/** Fewest queries in a chunk. Each chunk copies all candidates into the kernels' memory again. */
const LEAST = 16;
/** Most queries in a chunk, for short rows. */
const MOST = 8192;

/**
 * Calls `work` with one chunk of queries after the other, so that memory does not grow with their number. The queries are
 * scaled to length 1.
 *
 * @param kept Candidates kept for each query.
 */
export function eachChunk(queries: Rows, kept: number, work: (chunk: UnitRows, first: number) => void): void {
  const size = Math.min(MOST, Math.max(LEAST, Math.floor(ENTRIES / Math.max(queries[0]!.length, kept))));
  for (let first = 0; first < queries.length; first += size)
    work(unitRows(queries, first, Math.min(first + size, queries.length)), first);
}
