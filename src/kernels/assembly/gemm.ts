/**
 * Matrix products in register tiles. All pointers and strides are in bytes.
 *
 * A tile has 2 rows × 16 columns. It keeps eight accumulators, four vectors of B and one broadcast of A in the sixteen
 * vector registers, and reads whole cache lines of B. It was measured at 28 GMAC/s on packed operands, as fast as 4 × 8
 * tiles, and at 29 GMAC/s on plain rows. So A needs no packing, and B needs it only where it is used transposed.
 */

/** Steps of the inner dimension per block: 256 lines of B, 16 KiB, stay in the first-level cache. */
const BLOCK: i32 = 256;

/**
 * `c [+]= a · b`. Element (i, k) of a is at `a + i·aRow + k·aStep`. Columns j … j+15 of row k of b are at
 * `b + k·bStep + j/16·bPanel`, which fits plain rows (bPanel 64) and packed panels. Row i of c is at `c + i·cRow`.
 * `columns` is a multiple of 8.
 */
export function gemm(
  rows: i32, columns: i32, inner: i32,
  a: usize, aRow: usize, aStep: usize,
  b: usize, bStep: usize, bPanel: usize,
  c: usize, cRow: usize,
  accumulate: bool,
): void {
  for (let start = 0; start < inner; start += BLOCK) {
    const count = min(BLOCK, inner - start);
    const add = accumulate || start > 0;
    const aBlock = a + <usize>start * aStep;
    const bBlock = b + <usize>start * bStep;
    for (let j = 0; j < columns; j += 16) {
      const panel = bBlock + <usize>(j >> 4) * bPanel;
      const target = c + (<usize>j << 2);
      let i = 0;
      if (columns - j < 16) {
        for (; i + 3 < rows; i += 4) {
          half4(count, aBlock + <usize>i * aRow, aRow, aStep, panel, bStep, target + <usize>i * cRow, cRow, add);
        }
        for (; i < rows; i++) half1(count, aBlock + <usize>i * aRow, aStep, panel, bStep, target + <usize>i * cRow, add);
        break;
      }
      for (; i + 1 < rows; i += 2) {
        tile2(count, aBlock + <usize>i * aRow, aRow, aStep, panel, bStep, target + <usize>i * cRow, cRow, add);
      }
      if (i < rows) tile1(count, aBlock + <usize>i * aRow, aStep, panel, bStep, target + <usize>i * cRow, add);
    }
  }
}

/**
 * One part of a product that threads share: the `step` rows of c that start at row `part · step`, or the columns where
 * the product is cut by columns. `problem` holds the arguments of `gemm` as 32-bit words, then `step`, a multiple of
 * 16, then whether to cut by rows.
 */
export function gemmPart(problem: usize, part: i32, scratch: usize): void {
  const step = load<i32>(problem, 48), byRows = load<i32>(problem, 52) != 0;
  const first = part * step;
  let rows = load<i32>(problem), columns = load<i32>(problem, 4);
  let a = load<usize>(problem, 12), b = load<usize>(problem, 24), c = load<usize>(problem, 36);
  const aRow = load<usize>(problem, 16), bPanel = load<usize>(problem, 32), cRow = load<usize>(problem, 40);
  if (byRows) {
    rows = min(step, rows - first);
    a += <usize>first * aRow;
    c += <usize>first * cRow;
  } else {
    columns = min(step, columns - first);
    b += <usize>(first >> 4) * bPanel;
    c += <usize>first << 2;
  }
  gemm(
    rows, columns, load<i32>(problem, 8),
    a, aRow, load<usize>(problem, 20), b, load<usize>(problem, 28), bPanel, c, cRow, load<i32>(problem, 44) != 0,
  );
}

function tile2(
  count: i32, a: usize, aRow: usize, aStep: usize, b: usize, bStep: usize, c: usize, cRow: usize, add: bool,
): void {
  let c00 = f32x4.splat(0), c01 = c00, c02 = c00, c03 = c00;
  let c10 = c00, c11 = c00, c12 = c00, c13 = c00;
  for (let k = 0; k < count; k++, a += aStep, b += bStep) {
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
    let x = v128.load32_splat(a);
    c00 = f32x4.add(c00, f32x4.mul(x, b0));
    c01 = f32x4.add(c01, f32x4.mul(x, b1));
    c02 = f32x4.add(c02, f32x4.mul(x, b2));
    c03 = f32x4.add(c03, f32x4.mul(x, b3));
    x = v128.load32_splat(a + aRow);
    c10 = f32x4.add(c10, f32x4.mul(x, b0));
    c11 = f32x4.add(c11, f32x4.mul(x, b1));
    c12 = f32x4.add(c12, f32x4.mul(x, b2));
    c13 = f32x4.add(c13, f32x4.mul(x, b3));
  }
  store(c, c00, c01, c02, c03, add);
  store(c + cRow, c10, c11, c12, c13, add);
}

function tile1(count: i32, a: usize, aStep: usize, b: usize, bStep: usize, c: usize, add: bool): void {
  let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
  for (let k = 0; k < count; k++, a += aStep, b += bStep) {
    const x = v128.load32_splat(a);
    c0 = f32x4.add(c0, f32x4.mul(x, v128.load(b)));
    c1 = f32x4.add(c1, f32x4.mul(x, v128.load(b, 16)));
    c2 = f32x4.add(c2, f32x4.mul(x, v128.load(b, 32)));
    c3 = f32x4.add(c3, f32x4.mul(x, v128.load(b, 48)));
  }
  store(c, c0, c1, c2, c3, add);
}

/** 4 rows × 8 columns, for the last 8 columns. Ranks and small batches are often 8. */
function half4(
  count: i32, a: usize, aRow: usize, aStep: usize, b: usize, bStep: usize, c: usize, cRow: usize, add: bool,
): void {
  const a2 = a + 2 * aRow;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00;
  let c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  for (let k = 0, step: usize = 0; k < count; k++, step += aStep, b += bStep) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load32_splat(a + step);
    c00 = f32x4.add(c00, f32x4.mul(x, b0));
    c01 = f32x4.add(c01, f32x4.mul(x, b1));
    x = v128.load32_splat(a + step + aRow);
    c10 = f32x4.add(c10, f32x4.mul(x, b0));
    c11 = f32x4.add(c11, f32x4.mul(x, b1));
    x = v128.load32_splat(a2 + step);
    c20 = f32x4.add(c20, f32x4.mul(x, b0));
    c21 = f32x4.add(c21, f32x4.mul(x, b1));
    x = v128.load32_splat(a2 + step + aRow);
    c30 = f32x4.add(c30, f32x4.mul(x, b0));
    c31 = f32x4.add(c31, f32x4.mul(x, b1));
  }
  storeHalf(c, c00, c01, add);
  storeHalf(c + cRow, c10, c11, add);
  storeHalf(c + 2 * cRow, c20, c21, add);
  storeHalf(c + 3 * cRow, c30, c31, add);
}

function half1(count: i32, a: usize, aStep: usize, b: usize, bStep: usize, c: usize, add: bool): void {
  let c0 = f32x4.splat(0), c1 = c0;
  for (let k = 0; k < count; k++, a += aStep, b += bStep) {
    const x = v128.load32_splat(a);
    c0 = f32x4.add(c0, f32x4.mul(x, v128.load(b)));
    c1 = f32x4.add(c1, f32x4.mul(x, v128.load(b, 16)));
  }
  storeHalf(c, c0, c1, add);
}

@inline
function storeHalf(c: usize, c0: v128, c1: v128, add: bool): void {
  if (add) {
    c0 = f32x4.add(c0, v128.load(c));
    c1 = f32x4.add(c1, v128.load(c, 16));
  }
  v128.store(c, c0);
  v128.store(c, c1, 16);
}

@inline
function store(c: usize, c0: v128, c1: v128, c2: v128, c3: v128, add: bool): void {
  if (add) {
    c0 = f32x4.add(c0, v128.load(c));
    c1 = f32x4.add(c1, v128.load(c, 16));
    c2 = f32x4.add(c2, v128.load(c, 32));
    c3 = f32x4.add(c3, v128.load(c, 48));
  }
  v128.store(c, c0);
  v128.store(c, c1, 16);
  v128.store(c, c2, 32);
  v128.store(c, c3, 48);
}
