/**
 * Cosines of unit rows in 16-bit integers: entries times 32767, rounded. `i32x4.dot_i16x8_s` multiplies two entries of
 * four columns and adds each pair. This is twice the work of a float32 instruction.
 *
 * Nothing overflows. By the Cauchy–Schwarz inequality, a sum and any part of it are at most the product of the rows'
 * lengths. Rounding to integers adds at most √width / 2 to 32767 times a row's length. `normalizeRows` has sixteen
 * float32 sums, so a row may be longer than 1 by (width / 16 + 5)·2⁻²⁵. Up to a width of a million, the product is at
 * most 1.12e9, about half of 2³¹.
 */

const SCALE: f32 = 32767.0;

/** Converts unit rows to 16-bit rows of half their stride. `width` is a multiple of 16. */
export function toInt16(rows: i32, width: i32, data: usize, stride: usize, target: usize): void {
  const scale = f32x4.splat(SCALE);
  for (let i = 0; i < rows; i++, data += stride, target += stride >> 1) {
    for (let k: usize = 0, end = <usize>width << 2; k < end; k += 32) {
      const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(data + k), scale)));
      const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(data + k, 16), scale)));
      v128.store(target + (k >> 1), i16x8.narrow_i32x4_s(low, high));
    }
  }
}

/**
 * Cosines of each row of a with each row of b. `toInt16` makes the rows, which have `width` entries. `packPanels` packs
 * b into panels, as rows of `width / 2` pairs. `columns` is a multiple of 16.
 */
export function cosines16(
  rows: i32, columns: i32, width: i32, a: usize, aRow: usize, panels: usize, cosines: usize, cosineRow: usize,
): void {
  const pairs = width >> 1;
  for (let j = 0; j < columns; j += 16, panels += <usize>pairs << 6, cosines += 64) {
    let i = 0;
    for (; i + 1 < rows; i += 2) tile2(pairs, a + <usize>i * aRow, aRow, panels, cosines + <usize>i * cosineRow, cosineRow);
    if (i < rows) tile1(pairs, a + <usize>i * aRow, panels, cosines + <usize>i * cosineRow);
  }
}

/**
 * One part of `cosines16`: some of the columns. `problem` holds the arguments of `cosines16`, then the number of
 * columns per part, a multiple of 16, in 4 bytes each.
 */
export function cosines16Part(problem: usize, part: i32, scratch: usize): void {
  const step = load<i32>(problem, 32), first = part * step, width = load<i32>(problem, 8);
  cosines16(
    load<i32>(problem), min(step, load<i32>(problem, 4) - first), width,
    load<usize>(problem, 12), load<usize>(problem, 16),
    load<usize>(problem, 20) + (<usize>(first >> 1) * width << 2),
    load<usize>(problem, 24) + (<usize>first << 2), load<usize>(problem, 28),
  );
}

function tile2(pairs: i32, a: usize, aRow: usize, b: usize, c: usize, cRow: usize): void {
  let c00 = i32x4.splat(0), c01 = c00, c02 = c00, c03 = c00;
  let c10 = c00, c11 = c00, c12 = c00, c13 = c00;
  for (let k = 0; k < pairs; k++, a += 4, b += 64) {
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
    let x = v128.load32_splat(a);
    c00 = i32x4.add(c00, i32x4.dot_i16x8_s(x, b0));
    c01 = i32x4.add(c01, i32x4.dot_i16x8_s(x, b1));
    c02 = i32x4.add(c02, i32x4.dot_i16x8_s(x, b2));
    c03 = i32x4.add(c03, i32x4.dot_i16x8_s(x, b3));
    x = v128.load32_splat(a + aRow);
    c10 = i32x4.add(c10, i32x4.dot_i16x8_s(x, b0));
    c11 = i32x4.add(c11, i32x4.dot_i16x8_s(x, b1));
    c12 = i32x4.add(c12, i32x4.dot_i16x8_s(x, b2));
    c13 = i32x4.add(c13, i32x4.dot_i16x8_s(x, b3));
  }
  store(c, c00, c01, c02, c03);
  store(c + cRow, c10, c11, c12, c13);
}

function tile1(pairs: i32, a: usize, b: usize, c: usize): void {
  let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
  for (let k = 0; k < pairs; k++, a += 4, b += 64) {
    const x = v128.load32_splat(a);
    c0 = i32x4.add(c0, i32x4.dot_i16x8_s(x, v128.load(b)));
    c1 = i32x4.add(c1, i32x4.dot_i16x8_s(x, v128.load(b, 16)));
    c2 = i32x4.add(c2, i32x4.dot_i16x8_s(x, v128.load(b, 32)));
    c3 = i32x4.add(c3, i32x4.dot_i16x8_s(x, v128.load(b, 48)));
  }
  store(c, c0, c1, c2, c3);
}

@inline
function store(c: usize, c0: v128, c1: v128, c2: v128, c3: v128): void {
  const scale = f32x4.splat(1.0 / (SCALE * SCALE));
  v128.store(c, f32x4.mul(f32x4.convert_i32x4_s(c0), scale));
  v128.store(c, f32x4.mul(f32x4.convert_i32x4_s(c1), scale), 16);
  v128.store(c, f32x4.mul(f32x4.convert_i32x4_s(c2), scale), 32);
  v128.store(c, f32x4.mul(f32x4.convert_i32x4_s(c3), scale), 48);
}
