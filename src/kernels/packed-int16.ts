import { PANEL, type PackedRows, type UnitRows } from './packed-rows.js';

/** The integer for an entry of 1. */
const SCALE = 32767;

/** The candidates of {@link PackedRows} in 16-bit integers: 32767 times each entry, rounded. */
export interface Int16Panels {
  /** Entries per row: the width rounded up to an even number. An added last entry is 0. */
  readonly width: number;
  /** Entries 2p and 2p + 1 of row j are at `(⌊j / 16⌋ · width / 2 + p) · 32 + j % 16 · 2`. */
  readonly panels: Int16Array;
}

export function packInt16({ width, panels }: PackedRows): Int16Panels {
  const even = width + (width % 2);
  const height = panels.length / width;
  const packed = new Int16Array(height * even);
  let to = 0;
  for (let from = 0; from < panels.length; from += PANEL * width) {
    for (let k = 0; k < width; k += 2) {
      const first = from + k * PANEL;
      const hasSecond = k + 1 < width;
      for (let lane = first; lane < first + PANEL; lane++) {
        packed[to++] = rounded(panels[lane]!);
        packed[to++] = hasSecond ? rounded(panels[lane + PANEL]!) : 0;
      }
    }
  }
  return { width: even, panels: packed };
}

/** Queries in 16-bit integers, with as many entries per row as the candidates. */
export function int16Rows({ count, width, data }: UnitRows): Int16Array {
  const even = width + (width % 2);
  const rows = new Int16Array(count * even);
  for (let i = 0, from = 0; i < count; i++) {
    for (let k = 0, to = i * even; k < width; k++) rows[to++] = rounded(data[from++]!);
  }
  return rows;
}

/**
 * Largest difference of a cosine in 16-bit integers from the dot product of the unit rows in float64.
 *
 * Rounding changes an entry by at most ½. It changes a row of w entries by a vector of length ρ ≤ √w / 2. By the
 * Cauchy–Schwarz inequality, the product of two rows of length S = 32767 changes by at most 2Sρ + ρ², which is divided
 * by S². The last term covers rounding to float32: of the entries, which lengthens a row by at most 2⁻²³, and of the
 * sum, twice.
 */
export function int16Error(width: number): number {
  const share = Math.sqrt(width) / (2 * SCALE);
  return 2 * share + share * share + 1e-6;
}

/** 32767 times an entry of a unit row, rounded. It takes a quarter of the time of `Math.round`. */
function rounded(entry: number): number {
  return Math.trunc(SCALE * entry + (SCALE + 1.5)) - (SCALE + 1);
}
