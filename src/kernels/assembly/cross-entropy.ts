import { addWide, expNonPositive, maxLane, sumWide } from './math';

/**
 * Writes five float64 numbers about one row of logits: how many equal the highest, the sum of exponentials of the
 * others relative to the highest, the sum of all logits relative to the highest, the highest, and the lowest. The sum
 * of exponentials excludes the highest, because float32 would lose small exponentials beside its 1. `width` is a
 * multiple of 16. The padding repeats the row's first logit `padding` times, and the results do not count it.
 */
export function logitSums(width: i32, padding: i32, logits: usize, results: usize): void {
  const end = logits + (<usize>width << 2);
  let highest = v128.load(logits), lowest = highest;
  for (let p = logits; p < end; p += 16) {
    const x = v128.load(p);
    highest = f32x4.pmax(highest, x);
    lowest = f32x4.pmin(lowest, x);
  }
  const most = maxLane(highest);
  const shift = f32x4.splat(most);
  const zero = f32x4.splat(0);
  let exponentials = f64x2.splat(0), sum = exponentials;
  let equal = 0;
  // Sums 64 logits in float32, then adds these sums in float64.
  for (let p = logits; p < end; ) {
    const stop = min(p + 256, end);
    let e0 = f32x4.splat(0), e1 = e0, s0 = e0, s1 = e0;
    for (; p < stop; p += 32) {
      const x0 = f32x4.sub(v128.load(p), shift), x1 = f32x4.sub(v128.load(p, 16), shift);
      const isHighest0 = f32x4.eq(x0, zero), isHighest1 = f32x4.eq(x1, zero);
      equal += popcnt(i32x4.bitmask(isHighest0)) + popcnt(i32x4.bitmask(isHighest1));
      e0 = f32x4.add(e0, v128.andnot(expNonPositive(x0), isHighest0));
      e1 = f32x4.add(e1, v128.andnot(expNonPositive(x1), isHighest1));
      s0 = f32x4.add(s0, x0);
      s1 = f32x4.add(s1, x1);
    }
    exponentials = addWide(exponentials, f32x4.add(e0, e1));
    sum = addWide(sum, f32x4.add(s0, s1));
  }
  const first = load<f32>(logits) - most;
  const ofFirst = <f64>f32x4.extract_lane(expNonPositive(f32x4.splat(first)), 0);
  store<f64>(results, <f64>(first == 0 ? equal - padding : equal));
  store<f64>(results, sumWide(exponentials) - (first == 0 ? 0 : ofFirst * padding), 8);
  store<f64>(results, sumWide(sum) - <f64>first * padding, 16);
  store<f64>(results, most, 24);
  store<f64>(results, -<f64>maxLane(f32x4.neg(lowest)), 32);
}

/** `logits[c] = scale · exp(logits[c] - highest) - offset`, in place. `width` is a multiple of 4. */
export function softmaxGradient(width: i32, logits: usize, highest: f32, scale: f32, offset: f32): void {
  const shift = f32x4.splat(highest), factor = f32x4.splat(scale), less = f32x4.splat(offset);
  for (const end = logits + (<usize>width << 2); logits < end; logits += 16) {
    const weight = expNonPositive(f32x4.sub(v128.load(logits), shift));
    v128.store(logits, f32x4.sub(f32x4.mul(weight, factor), less));
  }
}
