import { sumWide } from './math';

/**
 * Sums over pairs of rows, in float64: the squares of 1e20 and 1e-25 are kept, and small differences stay exact. Widths
 * are multiples of 4.
 */

/** Squared Euclidean distance of each row of a from the same row of b, in float64. */
export function squaredDistances(rows: i32, width: i32, a: usize, b: usize, stride: usize, out: usize): void {
  for (let i = 0; i < rows; i++, a += stride, b += stride, out += 8) {
    let sum0 = f64x2.splat(0), sum1 = sum0;
    for (let k: usize = 0, end = <usize>width << 2; k < end; k += 16) {
      const x = v128.load(a + k), y = v128.load(b + k);
      const low = f64x2.sub(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y));
      const high = f64x2.sub(
        f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0)), f64x2.promote_low_f32x4(v128.shuffle<i64>(y, y, 1, 0)),
      );
      sum0 = f64x2.add(sum0, f64x2.mul(low, low));
      sum1 = f64x2.add(sum1, f64x2.mul(high, high));
    }
    store<f64>(out, sumWide(f64x2.add(sum0, sum1)));
  }
}

/** Writes a·b, a·a and b·b for each pair of rows, in float64. */
export function pairProducts(rows: i32, width: i32, a: usize, b: usize, stride: usize, out: usize): void {
  for (let i = 0; i < rows; i++, a += stride, b += stride, out += 24) {
    let dot = f64x2.splat(0), squaresA = dot, squaresB = dot;
    for (let k: usize = 0, end = <usize>width << 2; k < end; k += 16) {
      const x = v128.load(a + k), y = v128.load(b + k);
      const x0 = f64x2.promote_low_f32x4(x), x1 = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0));
      const y0 = f64x2.promote_low_f32x4(y), y1 = f64x2.promote_low_f32x4(v128.shuffle<i64>(y, y, 1, 0));
      dot = f64x2.add(dot, f64x2.add(f64x2.mul(x0, y0), f64x2.mul(x1, y1)));
      squaresA = f64x2.add(squaresA, f64x2.add(f64x2.mul(x0, x0), f64x2.mul(x1, x1)));
      squaresB = f64x2.add(squaresB, f64x2.add(f64x2.mul(y0, y0), f64x2.mul(y1, y1)));
    }
    store<f64>(out, sumWide(dot));
    store<f64>(out, sumWide(squaresA), 8);
    store<f64>(out, sumWide(squaresB), 16);
  }
}
