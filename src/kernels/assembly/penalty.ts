import { sumWide } from './math';

/**
 * The diagonal penalty on `count` float32 parameters: values x, anchors a, and importances F in float64 or float32. All
 * three regions are padded with zeros to a multiple of 4 entries. Computations are in float64, because differences of
 * nearby values cancel.
 */

/** Σ F (x - a)². */
export function quadraticPenalty(count: i32, values: usize, anchors: usize, importances: usize, isWide: bool): f64 {
  return isWide ? penaltyOf<f64>(count, values, anchors, importances) : penaltyOf<f32>(count, values, anchors, importances);
}

function penaltyOf<F>(count: i32, values: usize, anchors: usize, importances: usize): f64 {
  let even = f64x2.splat(0), odd = even;
  for (const end = values + (<usize>count << 2); values < end; values += 16, anchors += 16, importances += 4 * sizeof<F>()) {
    const d0 = f64x2.sub(low(values), low(anchors)), d1 = f64x2.sub(high(values), high(anchors));
    even = f64x2.add(even, f64x2.mul(lowOf<F>(importances), f64x2.mul(d0, d0)));
    odd = f64x2.add(odd, f64x2.mul(highOf<F>(importances), f64x2.mul(d1, d1)));
  }
  return sumWide(f64x2.add(even, odd));
}

/** Adds `scale · F (x - a)` to each entry of `target`. */
export function penaltyGradient(
  count: i32, target: usize, values: usize, anchors: usize, importances: usize, isWide: bool, scale: f64,
): void {
  if (isWide) gradientOf<f64>(count, target, values, anchors, importances, scale);
  else gradientOf<f32>(count, target, values, anchors, importances, scale);
}

function gradientOf<F>(count: i32, target: usize, values: usize, anchors: usize, importances: usize, scale: f64): void {
  const s = f64x2.splat(scale);
  const end = values + (<usize>count << 2);
  for (; values < end; values += 16, anchors += 16, importances += 4 * sizeof<F>(), target += 16) {
    const g0 = f64x2.mul(f64x2.mul(s, lowOf<F>(importances)), f64x2.sub(low(values), low(anchors)));
    const g1 = f64x2.mul(f64x2.mul(s, highOf<F>(importances)), f64x2.sub(high(values), high(anchors)));
    store4(target, f64x2.add(low(target), g0), f64x2.add(high(target), g1));
  }
}

/** `x -= min(1, rate · F) · (x - a)` in place. */
export function pullTowards(
  count: i32, values: usize, anchors: usize, importances: usize, isWide: bool, rate: f64,
): void {
  if (isWide) pull<f64>(count, values, anchors, importances, rate);
  else pull<f32>(count, values, anchors, importances, rate);
}

function pull<F>(count: i32, values: usize, anchors: usize, importances: usize, rate: f64): void {
  const r = f64x2.splat(rate), one = f64x2.splat(1);
  for (const end = values + (<usize>count << 2); values < end; values += 16, anchors += 16, importances += 4 * sizeof<F>()) {
    const x0 = low(values), x1 = high(values);
    const share0 = f64x2.pmin(one, f64x2.mul(r, lowOf<F>(importances)));
    const share1 = f64x2.pmin(one, f64x2.mul(r, highOf<F>(importances)));
    const y0 = f64x2.sub(x0, f64x2.mul(share0, f64x2.sub(x0, low(anchors))));
    const y1 = f64x2.sub(x1, f64x2.mul(share1, f64x2.sub(x1, high(anchors))));
    store4(values, y0, y1);
  }
}

/** Σ x². */
export function sumOfSquares(count: i32, values: usize): f64 {
  let even = f64x2.splat(0), odd = even;
  for (const end = values + (<usize>count << 2); values < end; values += 16) {
    const x0 = low(values), x1 = high(values);
    even = f64x2.add(even, f64x2.mul(x0, x0));
    odd = f64x2.add(odd, f64x2.mul(x1, x1));
  }
  return sumWide(f64x2.add(even, odd));
}

/** The first two of four entries, in float64. */
@inline
function lowOf<F>(pointer: usize): v128 {
  if (sizeof<F>() == 8) return v128.load(pointer);
  return low(pointer);
}

/** The last two of four entries, in float64. */
@inline
function highOf<F>(pointer: usize): v128 {
  if (sizeof<F>() == 8) return v128.load(pointer, 16);
  return high(pointer);
}

@inline
function low(pointer: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(pointer));
}

@inline
function high(pointer: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(pointer, 8));
}

@inline
function store4(pointer: usize, a: v128, b: v128): void {
  v128.store(pointer, v128.shuffle<i64>(f32x4.demote_f64x2_zero(a), f32x4.demote_f64x2_zero(b), 0, 2));
}
