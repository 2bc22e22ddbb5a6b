import { maxLane } from './math';

/**
 * Steps of the Fisher of the MSE objective. src/kernels/simd/fisher.ts combines them. Sums that may cancel are in
 * float64, because the output almost equals the target near a good fit. Widths are multiples of 16, and ranks are
 * multiples of 4; the padding is zero.
 */

/**
 * `hidden[n][k] = Σ_i rows[n][i] · weights[k][i]` with float32 rows, float64 weights and float64 results. `count` is
 * even.
 */
export function dotRows(
  count: i32, ranks: i32, width: i32, rows: usize, rowStride: usize, weights: usize, weightStride: usize, hidden: usize,
): void {
  const end = <usize>width << 2;
  const hiddenStride = <usize>ranks << 3;
  for (let n = 0; n < count; n += 2, rows += 2 * rowStride, hidden += 2 * hiddenStride) {
    const other = rows + rowStride;
    for (let k = 0; k < ranks; k += 4) {
      const w0 = weights + <usize>k * weightStride, w1 = w0 + weightStride, w2 = w1 + weightStride, w3 = w2 + weightStride;
      let a0 = f64x2.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
      for (let o: usize = 0; o < end; o += 8) {
        const x = f64x2.promote_low_f32x4(v128.load64_zero(rows + o));
        const y = f64x2.promote_low_f32x4(v128.load64_zero(other + o));
        let w = v128.load(w0 + 2 * o);
        a0 = f64x2.add(a0, f64x2.mul(x, w));
        b0 = f64x2.add(b0, f64x2.mul(y, w));
        w = v128.load(w1 + 2 * o);
        a1 = f64x2.add(a1, f64x2.mul(x, w));
        b1 = f64x2.add(b1, f64x2.mul(y, w));
        w = v128.load(w2 + 2 * o);
        a2 = f64x2.add(a2, f64x2.mul(x, w));
        b2 = f64x2.add(b2, f64x2.mul(y, w));
        w = v128.load(w3 + 2 * o);
        a3 = f64x2.add(a3, f64x2.mul(x, w));
        b3 = f64x2.add(b3, f64x2.mul(y, w));
      }
      const h = hidden + (<usize>k << 3);
      v128.store(h, sumPairs(a0, a1));
      v128.store(h, sumPairs(a2, a3), 16);
      v128.store(h + hiddenStride, sumPairs(b0, b1));
      v128.store(h + hiddenStride, sumPairs(b2, b3), 16);
    }
  }
}

/** The same product with float64 rows, which have the stride of the weights. */
export function dotWideRows(
  count: i32, ranks: i32, width: i32, rows: usize, weights: usize, stride: usize, hidden: usize,
): void {
  const end = <usize>width << 3;
  const hiddenStride = <usize>ranks << 3;
  for (let n = 0; n < count; n += 2, rows += 2 * stride, hidden += 2 * hiddenStride) {
    const other = rows + stride;
    for (let k = 0; k < ranks; k += 4) {
      const w0 = weights + <usize>k * stride, w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
      let a0 = f64x2.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
      for (let o: usize = 0; o < end; o += 16) {
        const x = v128.load(rows + o), y = v128.load(other + o);
        let w = v128.load(w0 + o);
        a0 = f64x2.add(a0, f64x2.mul(x, w));
        b0 = f64x2.add(b0, f64x2.mul(y, w));
        w = v128.load(w1 + o);
        a1 = f64x2.add(a1, f64x2.mul(x, w));
        b1 = f64x2.add(b1, f64x2.mul(y, w));
        w = v128.load(w2 + o);
        a2 = f64x2.add(a2, f64x2.mul(x, w));
        b2 = f64x2.add(b2, f64x2.mul(y, w));
        w = v128.load(w3 + o);
        a3 = f64x2.add(a3, f64x2.mul(x, w));
        b3 = f64x2.add(b3, f64x2.mul(y, w));
      }
      const h = hidden + (<usize>k << 3);
      v128.store(h, sumPairs(a0, a1));
      v128.store(h, sumPairs(a2, a3), 16);
      v128.store(h + hiddenStride, sumPairs(b0, b1));
      v128.store(h + hiddenStride, sumPairs(b2, b3), 16);
    }
  }
}

/**
 * `out[n][j] = inputs[n][j] - targets[n][j] + scale · Σ_k hidden[n][k] · weights[k][j]`, in float64 and in float32. A
 * null pointer for inputs counts as zeros. Four rows at a time share one read of the weights from the L2 cache. `count`
 * is a multiple of 4.
 */
export function outputErrors(
  count: i32, ranks: i32, width: i32, inputs: usize, targets: usize, stride: usize,
  hidden: usize, weights: usize, weightStride: usize, scale: f64, wide: usize, out: usize,
): void {
  const end = <usize>width << 2;
  const hiddenStride = <usize>ranks << 3;
  const factor = f64x2.splat(scale);
  for (let n = 0; n < count; n += 4, hidden += 4 * hiddenStride) {
    const first = <usize>n * stride;
    for (let o: usize = 0; o < end; o += 8) {
      let s0 = f64x2.splat(0), s1 = s0, s2 = s0, s3 = s0;
      let w = weights + 2 * o, h = hidden;
      for (let k = 0; k < ranks; k++, w += weightStride, h += 8) {
        const weight = v128.load(w);
        s0 = f64x2.add(s0, f64x2.mul(weight, v128.load64_splat(h)));
        s1 = f64x2.add(s1, f64x2.mul(weight, v128.load64_splat(h + hiddenStride)));
        s2 = f64x2.add(s2, f64x2.mul(weight, v128.load64_splat(h + 2 * hiddenStride)));
        s3 = f64x2.add(s3, f64x2.mul(weight, v128.load64_splat(h + 3 * hiddenStride)));
      }
      const at = first + o;
      storeError(s0, factor, inputs, targets, wide, out, at);
      storeError(s1, factor, inputs, targets, wide, out, at + stride);
      storeError(s2, factor, inputs, targets, wide, out, at + 2 * stride);
      storeError(s3, factor, inputs, targets, wide, out, at + 3 * stride);
    }
  }
}

@inline
function storeError(
  sum: v128, factor: v128, inputs: usize, targets: usize, wide: usize, out: usize, at: usize,
): void {
  let error = f64x2.sub(f64x2.mul(sum, factor), f64x2.promote_low_f32x4(v128.load64_zero(targets + at)));
  if (inputs != 0) error = f64x2.add(error, f64x2.promote_low_f32x4(v128.load64_zero(inputs + at)));
  v128.store(wide + 2 * at, error);
  v128.store64_lane(out + at, f32x4.demote_f64x2_zero(error), 0);
}

/** Squares floats in place. Returns their greatest magnitude before squaring. `count` is a multiple of 4. */
export function squareAll(count: i32, values: usize): f32 {
  let most = f32x4.splat(0);
  for (let end = values + (<usize>count << 2); values < end; values += 16) {
    const x = v128.load(values);
    most = f32x4.pmax(most, f32x4.abs(x));
    v128.store(values, f32x4.mul(x, x));
  }
  return maxLane(most);
}

/** `sums += scale · values`, with float64 sums and float32 values. `count` is a multiple of 4. */
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
