import { maxLane } from './math';

/**
 * Steps of the Fisher of the MSE objective; src/kernels/simd/fisher.ts puts them together. What may cancel is in float64:
 * near a good fit the output all but equals the target. Widths are multiples of 16 and ranks of 4, the rest zero.
 */

/** `out[n][k] = Σ_i rows[n][i] · weights[k][i]`. */
export function dotRows(
  count: i32, ranks: i32, width: i32, rows: usize, rowStride: usize, weights: usize, weightStride: usize, out: usize,
): void {
  const end = <usize>width << 3;
  for (let n = 0; n < count; n++, rows += rowStride) {
    for (let k = 0; k < ranks; k += 4, out += 32) {
      const w0 = weights + <usize>k * weightStride, w1 = w0 + weightStride, w2 = w1 + weightStride, w3 = w2 + weightStride;
      let a0 = f64x2.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
      for (let o: usize = 0; o < end; o += 32) {
        const x = v128.load(rows + o), y = v128.load(rows + o, 16);
        a0 = f64x2.add(a0, f64x2.mul(x, v128.load(w0 + o)));
        a1 = f64x2.add(a1, f64x2.mul(x, v128.load(w1 + o)));
        a2 = f64x2.add(a2, f64x2.mul(x, v128.load(w2 + o)));
        a3 = f64x2.add(a3, f64x2.mul(x, v128.load(w3 + o)));
        b0 = f64x2.add(b0, f64x2.mul(y, v128.load(w0 + o, 16)));
        b1 = f64x2.add(b1, f64x2.mul(y, v128.load(w1 + o, 16)));
        b2 = f64x2.add(b2, f64x2.mul(y, v128.load(w2 + o, 16)));
        b3 = f64x2.add(b3, f64x2.mul(y, v128.load(w3 + o, 16)));
      }
      v128.store(out, sumPairs(f64x2.add(a0, b0), f64x2.add(a1, b1)));
      v128.store(out, sumPairs(f64x2.add(a2, b2), f64x2.add(a3, b3)), 16);
    }
  }
}

/** `rows[n][j] += scale · Σ_k hidden[n][k] · weights[k][j]`. */
export function addCombination(
  count: i32, ranks: i32, width: i32, hidden: usize, weights: usize, weightStride: usize, scale: f64, rows: usize, rowStride: usize,
): void {
  const end = <usize>width << 3;
  for (let n = 0; n < count; n++, rows += rowStride, hidden += <usize>ranks << 3) {
    for (let k = 0; k < ranks; k += 4) {
      const h = hidden + (<usize>k << 3);
      const h0 = f64x2.splat(scale * load<f64>(h)), h1 = f64x2.splat(scale * load<f64>(h, 8));
      const h2 = f64x2.splat(scale * load<f64>(h, 16)), h3 = f64x2.splat(scale * load<f64>(h, 24));
      const w0 = weights + <usize>k * weightStride, w1 = w0 + weightStride, w2 = w1 + weightStride, w3 = w2 + weightStride;
      for (let o: usize = 0; o < end; o += 32) {
        let x = v128.load(rows + o), y = v128.load(rows + o, 16);
        x = f64x2.add(x, f64x2.mul(h0, v128.load(w0 + o)));
        y = f64x2.add(y, f64x2.mul(h0, v128.load(w0 + o, 16)));
        x = f64x2.add(x, f64x2.mul(h1, v128.load(w1 + o)));
        y = f64x2.add(y, f64x2.mul(h1, v128.load(w1 + o, 16)));
        x = f64x2.add(x, f64x2.mul(h2, v128.load(w2 + o)));
        y = f64x2.add(y, f64x2.mul(h2, v128.load(w2 + o, 16)));
        x = f64x2.add(x, f64x2.mul(h3, v128.load(w3 + o)));
        y = f64x2.add(y, f64x2.mul(h3, v128.load(w3 + o, 16)));
        v128.store(rows + o, x);
        v128.store(rows + o, y, 16);
      }
    }
  }
}

/** Rows of float32 as float64. `width` is a multiple of 4. */
export function promoteRows(count: i32, width: i32, rows: usize, stride: usize, out: usize, outStride: usize): void {
  for (let n = 0; n < count; n++, rows += stride, out += outStride) {
    for (let j: usize = 0, end = <usize>width << 2; j < end; j += 16) {
      const x = v128.load(rows + j);
      v128.store(out + 2 * j, f64x2.promote_low_f32x4(x));
      v128.store(out + 2 * j, f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0)), 16);
    }
  }
}

/** `out -= rows` in float64. */
export function subtractRows(count: i32, width: i32, rows: usize, stride: usize, out: usize, outStride: usize): void {
  for (let n = 0; n < count; n++, rows += stride, out += outStride) {
    for (let j: usize = 0, end = <usize>width << 2; j < end; j += 16) {
      const x = v128.load(rows + j);
      const low = f64x2.promote_low_f32x4(x), high = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0));
      v128.store(out + 2 * j, f64x2.sub(v128.load(out + 2 * j), low));
      v128.store(out + 2 * j, f64x2.sub(v128.load(out + 2 * j, 16), high), 16);
    }
  }
}

/** Rows of float64 as float32 shares of their greatest magnitude, which is returned; 0 where all are. */
export function demoteRows(count: i32, width: i32, rows: usize, stride: usize, out: usize, outStride: usize): f64 {
  const end = <usize>width << 3;
  let most = f64x2.splat(0);
  for (let n = 0, row = rows; n < count; n++, row += stride) {
    for (let j: usize = 0; j < end; j += 16) most = f64x2.pmax(most, f64x2.abs(v128.load(row + j)));
  }
  const greatest = max(f64x2.extract_lane(most, 0), f64x2.extract_lane(most, 1));
  const inverse = f64x2.splat(greatest == 0 ? 0 : 1.0 / greatest);
  for (let n = 0; n < count; n++, rows += stride, out += outStride) {
    for (let j: usize = 0; j < end; j += 32) {
      const low = f32x4.demote_f64x2_zero(f64x2.mul(v128.load(rows + j), inverse));
      const high = f32x4.demote_f64x2_zero(f64x2.mul(v128.load(rows + j, 16), inverse));
      v128.store(out + (j >> 1), v128.shuffle<i64>(low, high, 0, 2));
    }
  }
  return greatest;
}

/** Floats as squares of their shares of the greatest magnitude, which is returned. `count` is a multiple of 4. */
export function scaledSquares(count: i32, values: usize): f64 {
  const end = values + (<usize>count << 2);
  let most = f32x4.splat(0);
  for (let p = values; p < end; p += 16) most = f32x4.pmax(most, f32x4.abs(v128.load(p)));
  const greatest = maxLane(most);
  if (greatest == 0) return 0;
  const divisor = f32x4.splat(greatest);
  for (let p = values; p < end; p += 16) {
    const x = f32x4.div(v128.load(p), divisor);
    v128.store(p, f32x4.mul(x, x));
  }
  return greatest;
}

/** Squares floats in place. `count` is a multiple of 4. */
export function squareAll(count: i32, values: usize): void {
  for (let end = values + (<usize>count << 2); values < end; values += 16) {
    const x = v128.load(values);
    v128.store(values, f32x4.mul(x, x));
  }
}

/** `sums += scale · values`, float64 and float32. `count` is a multiple of 4. */
export function addScaled(count: i32, values: usize, scale: f64, sums: usize): void {
  const factor = f64x2.splat(scale);
  for (let end = values + (<usize>count << 2); values < end; values += 16, sums += 32) {
    const x = v128.load(values);
    const low = f64x2.mul(f64x2.promote_low_f32x4(x), factor);
    const high = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0)), factor);
    v128.store(sums, f64x2.add(v128.load(sums), low));
    v128.store(sums, f64x2.add(v128.load(sums, 16), high), 16);
  }
}

@inline
function sumPairs(x: v128, y: v128): v128 {
  return f64x2.add(v128.shuffle<i64>(x, y, 0, 2), v128.shuffle<i64>(x, y, 1, 3));
}
