import { scaleWide, sumLanes, sumWide } from './math';

/**
 * Sums of squares outside of this range are computed in float64, because float32 would overflow or lose small entries.
 */
const SMALLEST_SQUARES: f32 = 1e-20;
const LARGEST_SQUARES: f32 = 1e30;

/** Writes Euclidean norms in float64, and scales the rows to length 1 in place. A zero row stays zero. */
export function normalizeRows(rows: i32, width: i32, data: usize, stride: usize, norms: usize): void {
  for (let i = 0; i < rows; i++, data += stride, norms += 8) {
    const end = data + (<usize>width << 2);
    let sum0 = f32x4.splat(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (let p = data; p < end; p += 64) {
      const x0 = v128.load(p), x1 = v128.load(p, 16), x2 = v128.load(p, 32), x3 = v128.load(p, 48);
      sum0 = f32x4.add(sum0, f32x4.mul(x0, x0));
      sum1 = f32x4.add(sum1, f32x4.mul(x1, x1));
      sum2 = f32x4.add(sum2, f32x4.mul(x2, x2));
      sum3 = f32x4.add(sum3, f32x4.mul(x3, x3));
    }
    const squares = sumLanes(f32x4.add(f32x4.add(sum0, sum1), f32x4.add(sum2, sum3)));
    if (squares > SMALLEST_SQUARES && squares < LARGEST_SQUARES) {
      const norm = Math.sqrt(squares);
      store<f64>(norms, norm);
      const inverse = f32x4.splat(<f32>(1.0 / norm));
      for (let p = data; p < end; p += 64) {
        v128.store(p, f32x4.mul(v128.load(p), inverse));
        v128.store(p, f32x4.mul(v128.load(p, 16), inverse), 16);
        v128.store(p, f32x4.mul(v128.load(p, 32), inverse), 32);
        v128.store(p, f32x4.mul(v128.load(p, 48), inverse), 48);
      }
    } else {
      store<f64>(norms, normalizeWide(data, end));
    }
  }
}

function normalizeWide(data: usize, end: usize): f64 {
  let sum = f64x2.splat(0);
  for (let p = data; p < end; p += 16) {
    const x = v128.load(p);
    const low = f64x2.promote_low_f32x4(x), high = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0));
    sum = f64x2.add(sum, f64x2.add(f64x2.mul(low, low), f64x2.mul(high, high)));
  }
  const norm = Math.sqrt(sumWide(sum));
  if (norm == 0) return 0;
  const inverse = f64x2.splat(1.0 / norm);
  for (let p = data; p < end; p += 16) v128.store(p, scaleWide(v128.load(p), inverse));
  return norm;
}

/**
 * Packs rows into panels of 16 columns, the layout in which `gemm` reads a transposed B. Entry k of rows 16·p … 16·p+15
 * becomes the line at `panels + (p·width + k)·64`. `rows` is a multiple of 16, and `width` is a multiple of 4. Added
 * rows are zero.
 */
export function packPanels(rows: i32, width: i32, data: usize, stride: usize, panels: usize): void {
  for (let i = 0; i < rows; i += 16, data += stride << 4) {
    for (let k = 0; k < width; k += 4) {
      const source = data + (<usize>k << 2);
      for (let group = 0; group < 4; group++) {
        transpose4(source + <usize>(group << 2) * stride, stride, panels + (<usize>group << 4));
      }
      panels += 256;
    }
  }
}

/** Transposes four floats of four rows into four lines, 64 bytes apart. */
@inline
function transpose4(source: usize, stride: usize, target: usize): void {
  const r0 = v128.load(source), r1 = v128.load(source + stride);
  const r2 = v128.load(source + 2 * stride), r3 = v128.load(source + 3 * stride);
  const low01 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5), high01 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5), high23 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(target, v128.shuffle<i64>(low01, low23, 1, 3), 64);
  v128.store(target, v128.shuffle<i64>(high01, high23, 0, 2), 128);
  v128.store(target, v128.shuffle<i64>(high01, high23, 1, 3), 192);
}
