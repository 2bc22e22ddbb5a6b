import { type Int16Panels, int16Rows } from '../packed-int16.js';
import { PANEL, type PackedRows, type UnitRows } from '../packed-rows.js';
import { type KernelMemory, roundUp } from './memory.js';

/** Words of the parameter block of `cosines16Part`. */
const WORDS = 9;

/** A way to compare queries with candidates: in float32 or in 16-bit integers. Rows and panels are in kernel memory. */
export interface ScanProduct {
  /** Bytes of a query, and of a panel of candidates. */
  readonly rowBytes: number;
  readonly panelBytes: number;
  copyQueries(target: number): void;
  /** Copies `count` candidates, starting at `first`, a multiple of 16. */
  copyCandidates(first: number, count: number, target: number): void;
  /** Writes cosines of `columns` candidates, one row per query. It may round `columns` up to a multiple of 16. */
  multiply(
    rows: number,
    columns: number,
    queries: number,
    candidates: number,
    cosines: number,
    cosineRow: number,
    meanwhile?: () => void,
  ): void;
}

export function float32Product(memory: KernelMemory, queries: UnitRows, { width, panels }: PackedRows): ScanProduct {
  const [row, panel] = [4 * width, 4 * PANEL * width];
  return {
    rowBytes: row,
    panelBytes: panel,
    copyQueries: target => memory.f32.set(queries.data, target / 4),
    copyCandidates: (first, count, target) =>
      memory.f32.set(panels.subarray(first * width, (first + roundUp(count, PANEL)) * width), target / 4),
    multiply: (rows, columns, left, right, cosines, cosineRow, meanwhile) =>
      memory.gemm(rows, roundUp(columns, 8), width, left, row, 4, right, 64, panel, cosines, cosineRow, 0, meanwhile),
  };
}

/** Products in 16-bit integers. Reserves memory for the parameters. */
export function int16Product(memory: KernelMemory, queries: UnitRows, { width, panels }: Int16Panels): ScanProduct {
  const parameters = memory.take(4 * WORDS);
  const write = (source: Int16Array, target: number): void =>
    new Int16Array(memory.f32.buffer, target, source.length).set(source);
  return {
    rowBytes: 2 * width,
    panelBytes: 2 * PANEL * width,
    copyQueries: target => write(int16Rows(queries), target),
    copyCandidates: (first, count, target) =>
      write(panels.subarray(first * width, (first + roundUp(count, PANEL)) * width), target),
    multiply: (rows, columns, left, right, cosines, cosineRow, meanwhile) => {
      const padded = roundUp(columns, PANEL);
      const step = memory.partOf(padded);
      memory.i32.set([rows, padded, width, left, 2 * width, right, cosines, cosineRow, step], parameters / 4);
      memory.forEach('cosines16Part', Math.ceil(padded / step), parameters, 0, rows * padded * width, meanwhile);
    },
  };
}
