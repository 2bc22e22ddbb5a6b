/**
 * exp(x) for x ≤ 0 in four lanes, with a relative error of 2e-7. It is 0 from -87 down, where float32 ends. NaN stays
 * NaN.
 *
 * `pmax`, and rounding by adding a large number, are single instructions on x64. `max`, `nearest` and conversion to
 * integers are five to ten.
 */
@inline
export function expNonPositive(x: v128): v128 {
  const clamped = f32x4.pmax(x, f32x4.splat(-87.0));
  // x = n·ln2 + r with |r| ≤ ln2/2. Splitting ln2 into two parts keeps r exact (Cody and Waite).
  const shifted = f32x4.add(f32x4.mul(clamped, f32x4.splat(1.44269504)), f32x4.splat(12582912.0));
  const n = f32x4.sub(shifted, f32x4.splat(12582912.0));
  let r = f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  // Taylor series to the sixth power. Its relative remainder at ln2/2 is 1.2e-7.
  let p = f32x4.splat(1.0 / 720.0);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 120.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 24.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 6.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0));
  // The low bits of the shifted number are n. Moved to the exponent, they multiply by 2^n.
  const result = f32x4.mul(p, i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f800000)));
  return v128.andnot(result, f32x4.le(x, f32x4.splat(-87.0)));
}

/** Sum of four float32 lanes as float64, added to two float64 lanes. */
@inline
export function addWide(sum: v128, x: v128): v128 {
  const high = v128.shuffle<i64>(x, x, 1, 0);
  return f64x2.add(sum, f64x2.add(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(high)));
}

/** Four float32 lanes times two equal float64 lanes, computed in float64. */
@inline
export function scaleWide(x: v128, scale: v128): v128 {
  const low = f64x2.mul(f64x2.promote_low_f32x4(x), scale);
  const high = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0)), scale);
  return v128.shuffle<i64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

@inline
export function sumWide(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}

/** Sum of four float32 lanes in float64. */
@inline
export function sumLanes(x: v128): f64 {
  return sumWide(addWide(f64x2.splat(0), x));
}

/** Dot product of two rows, whose length is a multiple of 64 bytes. */
@inline
export function dot(bytes: usize, a: usize, b: usize): f64 {
  let sum0 = f32x4.splat(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  for (let k: usize = 0; k < bytes; k += 64) {
    const x = a + k, y = b + k;
    sum0 = f32x4.add(sum0, f32x4.mul(v128.load(x), v128.load(y)));
    sum1 = f32x4.add(sum1, f32x4.mul(v128.load(x, 16), v128.load(y, 16)));
    sum2 = f32x4.add(sum2, f32x4.mul(v128.load(x, 32), v128.load(y, 32)));
    sum3 = f32x4.add(sum3, f32x4.mul(v128.load(x, 48), v128.load(y, 48)));
  }
  return sumLanes(f32x4.add(f32x4.add(sum0, sum1), f32x4.add(sum2, sum3)));
}

@inline
export function maxLane(x: v128): f32 {
  return max(max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)), max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)));
}

/** exp(-x) for x ≥ 0 in float64, with a relative error of 1e-15. It is 0 from 700 on, near where float64 ends. */
export function expNegative(x: f64): f64 {
  if (x >= 700) return 0;
  const n = Math.round(-x * 1.4426950408889634);
  // ln2 is split into two parts, because the product with the first is exact.
  const r = -x - n * 0.6931471803691238 - n * 1.9082149292705877e-10;
  // Taylor series to the thirteenth power. Its remainder at ln2/2 is 4e-18.
  let p: f64 = 1;
  for (let k: f64 = 13; k > 0; k--) p = 1 + (p * r) / k;
  return p * reinterpret<f64>((<i64>n + 1023) << 52);
}
