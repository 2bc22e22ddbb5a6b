import type { Float32Row } from '../../types.js';
import type { Scan } from '../kernels.js';
import type { Int16Panels } from '../packed-int16.js';
import { PANEL, type PackedRows, type UnitRows } from '../packed-rows.js';
import { type KernelMemory, roundUp, strideOf } from './memory.js';
import { float32Product, int16Product } from './scan-products.js';

/** Queries and candidates per block, so that the block of cosines stays in the second-level cache. */
const QUERIES = 64;
const CANDIDATES = 1024;
/** Smallest number of queries that threads share. */
const LEAST_SHARED = 16;

type ScanVisit = Parameters<Scan>[3];

/** A block of candidates and the queries that are compared with it. */
interface Round {
  first: number;
  block: number;
  query: number;
  rows: number;
  cosines: number;
}

/**
 * Copies each block of candidates in once and compares it with all queries. The whole n × m matrix never exists. While
 * helper threads multiply, the calling thread copies the next block in and visits the cosines of the previous one.
 */
export function scan(
  memory: KernelMemory,
  queries: UnitRows,
  candidates: PackedRows,
  thresholds: Float32Row,
  visit: ScanVisit,
  int16?: Int16Panels,
): void {
  const { count } = candidates;
  const columns = Math.min(CANDIDATES, roundUp(count, PANEL));
  const stride = strideOf(columns);
  const hasHelpers = memory.threads > 1;
  memory.begin();
  const product = int16 ? int16Product(memory, queries, int16) : float32Product(memory, queries, candidates);
  const rowsAt = memory.take(queries.count * product.rowBytes);
  let [here, there] = takeTwo(memory, (columns / PANEL) * product.panelBytes, hasHelpers);
  let [cosines, otherCosines] = takeTwo(memory, 4 * QUERIES * stride, hasHelpers);
  const indicesAt = memory.take(4 * columns);
  const valuesAt = memory.take(4 * columns);
  memory.commit();

  const { call } = memory;
  const indices = memory.i32.subarray(indicesAt / 4, indicesAt / 4 + columns);
  const values = memory.f32.subarray(valuesAt / 4, valuesAt / 4 + columns);
  const copyIn = (first: number, target: number): void =>
    product.copyCandidates(first, Math.min(columns, count - first), target);
  const multiply = ({ block, query, rows, cosines }: Round, meanwhile?: () => void): void =>
    product.multiply(rows, block, rowsAt + query * product.rowBytes, here, cosines, 4 * stride, meanwhile);
  const show = ({ first, block, query, rows, cosines }: Round): void => {
    for (let i = 0; i < rows; i++) {
      const row = cosines + 4 * i * stride;
      const found = call.selectAbove(block, row, thresholds[query + i]!, first, indicesAt, valuesAt);
      if (found > 0) visit(query + i, found, indices, values);
    }
  };

  product.copyQueries(rowsAt);
  let last: Round | undefined;
  for (let first = 0; first < count; first += columns) {
    if (first === 0 || !hasHelpers) copyIn(first, here);
    const block = Math.min(columns, count - first);
    for (let query = 0; query < queries.count; query += QUERIES) {
      const round = { first, block, query, rows: Math.min(QUERIES, queries.count - query), cosines };
      const meanwhile = (): void => {
        if (query === 0 && first + columns < count) copyIn(first + columns, there);
        if (last) show(last);
      };
      multiply(round, hasHelpers ? meanwhile : undefined);
      if (hasHelpers) last = round;
      else show(round);
      [cosines, otherCosines] = [otherCosines, cosines];
    }
    [here, there] = [there, here];
  }
  if (last) show(last);
}

/** Two regions of equal size, or one region twice. */
function takeTwo(memory: KernelMemory, bytes: number, areTwo: boolean): [number, number] {
  const pointer = memory.take(bytes);
  return [pointer, areTwo ? memory.take(bytes) : pointer];
}

/** Multiply-adds that threads share. With few queries, copying candidates takes as long as comparing them. */
export function scanWork(queries: UnitRows, { count }: PackedRows): number {
  return queries.count < LEAST_SHARED ? 0 : queries.count * count * queries.width;
}

/** Skips the blocks that a query has visited before, for a call that may have to start again. */
export function eachCandidateOnce(queries: number, visit: ScanVisit): ScanVisit {
  const last = new Int32Array(queries).fill(-1);
  return (query, count, indices, cosines) => {
    if (indices[0]! <= last[query]!) return;
    last[query] = indices[count - 1]!;
    visit(query, count, indices, cosines);
  };
}
