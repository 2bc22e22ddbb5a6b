import type { Float32Row } from '../../types.js';
import type { Scan } from '../kernels.js';
import { PANEL, type PackedRows, type UnitRows } from '../packed-rows.js';
import { type KernelMemory, roundUp, strideOf } from './memory.js';

/** Queries and candidates multiplied at a time: their block of cosines stays in the second-level cache. */
const QUERIES = 64;
const CANDIDATES = 1024;
/** Least queries that threads share. */
const LEAST_SHARED = 16;

type ScanVisit = Parameters<Scan>[3];

/** Each block of candidates is copied in once and meets all queries; the whole n × m matrix is never there. */
export function scan(
  memory: KernelMemory,
  queries: UnitRows,
  candidates: PackedRows,
  thresholds: Float32Row,
  visit: ScanVisit,
): void {
  const { width, count, panels } = candidates;
  const columns = Math.min(CANDIDATES, roundUp(count, PANEL));
  const stride = strideOf(columns);
  memory.begin();
  const rowsAt = memory.take(4 * queries.count * width);
  const panelsAt = memory.take(4 * columns * width);
  const cosinesAt = memory.take(4 * QUERIES * stride);
  const indicesAt = memory.take(4 * columns);
  const valuesAt = memory.take(4 * columns);
  memory.commit();

  const { call, f32 } = memory;
  const indices = memory.i32.subarray(indicesAt / 4, indicesAt / 4 + columns);
  const values = f32.subarray(valuesAt / 4, valuesAt / 4 + columns);
  f32.set(queries.data, rowsAt / 4);
  for (let first = 0; first < count; first += columns) {
    const block = Math.min(columns, count - first);
    f32.set(panels.subarray(first * width, (first + roundUp(block, PANEL)) * width), panelsAt / 4);
    for (let query = 0; query < queries.count; query += QUERIES) {
      const rows = Math.min(QUERIES, queries.count - query);
      const left = rowsAt + 4 * query * width;
      const panel = 4 * PANEL * width;
      memory.gemm(rows, roundUp(block, 8), width, left, 4 * width, 4, panelsAt, 64, panel, cosinesAt, 4 * stride, 0);
      for (let i = 0; i < rows; i++) {
        const row = cosinesAt + 4 * i * stride;
        const found = call.selectAbove(block, row, thresholds[query + i]!, first, indicesAt, valuesAt);
        if (found > 0) visit(query + i, found, indices, values);
      }
    }
  }
}

/** Multiply-adds that threads share; few queries take as long to copy candidates in as to be compared with them. */
export function scanWork(queries: UnitRows, { count }: PackedRows): number {
  return queries.count < LEAST_SHARED ? 0 : queries.count * count * queries.width;
}

/** For a call that may have to start again: leaves out the blocks of candidates that a query was shown before. */
export function eachCandidateOnce(queries: number, visit: ScanVisit): ScanVisit {
  const last = new Int32Array(queries).fill(-1);
  return (query, count, indices, cosines) => {
    if (indices[0]! <= last[query]!) return;
    last[query] = indices[count - 1]!;
    visit(query, count, indices, cosines);
  };
}
