/** InfoNCE for one block of anchors at a time. src/kernels/simd/contrastive.ts combines the steps. */

import { addWide, dot, expNonPositive, maxLane, scaleWide, sumWide } from './math';

/** The cosine of a masked candidate. It is below every cosine, and finite, so 0 times it is 0. */
export const MASKED: f32 = -1e30;

/**
 * The softmax over the candidates of each anchor of a block, without the anchor's positive. The input rows of `cosines`
 * are dot products of normalised rows. The output rows are cosines, and the rows of `weights` are exponentials relative
 * to the highest cosine. For each row, `results` gets three float64 numbers: the highest cosine, the sum of the
 * weights, and the own cosine, which is the anchor's with its positive.
 *
 * @param columns Number of candidates with padding, a multiple of 16.
 * @param candidates Number of candidates without padding.
 * @param ownColumns Number of columns of own negatives with padding, a multiple of 16. They follow the columns of the
 *   candidates, and their cosines are already damped.
 * @param owned Number of own negatives per anchor, without padding.
 * @param firstOwn Column of the first anchor's positive; the positive of anchor i is i columns further. -1 where `owns`
 *   has the own cosines.
 * @param owns Own cosines, one float per row, where `firstOwn` is -1.
 * @param quotients ε/|a| for each row, or 0 for a row whose cosines need no damping.
 * @param norms Norms of the candidates.
 * @param anchorGroups Group of each row, or a null pointer for no groups.
 */
export function softmaxBlock(
  rows: i32, columns: i32, candidates: i32, ownColumns: i32, owned: i32,
  cosines: usize, weights: usize, stride: usize,
  firstOwn: i32, owns: usize, quotients: usize, norms: usize, anchorGroups: usize, groups: usize,
  inverseTemperature: f32, results: usize,
): void {
  for (let i = 0; i < rows; i++, cosines += stride, weights += stride, results += 24) {
    const quotient = load<f32>(quotients + (<usize>i << 2));
    if (quotient > 0) damp(columns, cosines, norms, quotient);
    let own: f32;
    if (firstOwn >= 0) {
      const place = cosines + (<usize>(firstOwn + i) << 2);
      own = load<f32>(place);
      store<f32>(place, MASKED);
    } else {
      own = load<f32>(owns + (<usize>i << 2));
    }
    if (anchorGroups != 0) maskGroup(columns, cosines, groups, load<i32>(anchorGroups + (<usize>i << 2)));
    for (let j = candidates; j < columns; j++) store<f32>(cosines + (<usize>j << 2), MASKED);
    const all = columns + ownColumns;
    for (let j = columns + owned; j < all; j++) store<f32>(cosines + (<usize>j << 2), MASKED);

    let most = f32x4.splat(own);
    const end = cosines + (<usize>all << 2);
    for (let c = cosines; c < end; c += 16) most = f32x4.pmax(most, v128.load(c));
    const highest = maxLane(most);

    const shift = f32x4.splat(highest), scale = f32x4.splat(inverseTemperature);
    // Sums 64 columns in float32, then adds these sums in float64. This is exact enough and halves the work.
    let total = f64x2.splat(0);
    for (let c = cosines, w = weights; c < end; ) {
      const stop = min(c + 256, end);
      let sum0 = f32x4.splat(0), sum1 = sum0;
      for (; c < stop; c += 32, w += 32) {
        const w0 = expNonPositive(f32x4.mul(f32x4.sub(v128.load(c), shift), scale));
        const w1 = expNonPositive(f32x4.mul(f32x4.sub(v128.load(c, 16), shift), scale));
        v128.store(w, w0);
        v128.store(w, w1, 16);
        sum0 = f32x4.add(sum0, w0);
        sum1 = f32x4.add(sum1, w1);
      }
      total = addWide(total, f32x4.add(sum0, sum1));
    }
    store<f64>(results, highest);
    store<f64>(results, sumWide(total), 8);
    store<f64>(results, own, 16);
  }
}

/**
 * Turns the weights of `softmaxBlock` into the gradient with respect to the dot products of normalised rows, in place:
 * weight · scale for the candidates, and `-ownScale` for the anchor's positive. `radials` gets Σ gradient · cosine of
 * each row. `columnRadials` gets the same sum of each column, added up over blocks. Both are damped and do not include
 * own negatives, which `ownGradients` damps and adds.
 *
 * The first number of `results` becomes Σ weight · scale · (cosine - own cosine) over all columns, undamped. The own
 * gradient is the sum of the others, so this form avoids two sums of cosines that would cancel. The second number
 * becomes the sum of the terms' magnitudes.
 */
export function gradientBlock(
  rows: i32, columns: i32, ownColumns: i32, cosines: usize, weights: usize, stride: usize,
  firstOwn: i32, quotients: usize, norms: usize,
  scales: usize, ownScales: usize, results: usize, radials: usize, columnRadials: usize,
): void {
  for (let i = 0; i < rows; i++, cosines += stride, weights += stride, results += 24) {
    const scale = f32x4.splat(load<f32>(scales + (<usize>i << 2)));
    const end = weights + (<usize>columns << 2);
    const ownEnd = end + (<usize>ownColumns << 2);
    for (let w = weights; w < ownEnd; w += 16) v128.store(w, f32x4.mul(v128.load(w), scale));
    if (firstOwn >= 0) {
      const place = <usize>(firstOwn + i) << 2;
      store<f32>(weights + place, -load<f32>(ownScales + (<usize>i << 2)));
      store<f32>(cosines + place, <f32>load<f64>(results, 16));
    }
    const quotient = load<f32>(quotients + (<usize>i << 2));
    const own = f32x4.splat(<f32>load<f64>(results, 16));
    let heat = f64x2.splat(0), heatMagnitude = heat;
    for (let w = weights, c = cosines; w < ownEnd; ) {
      const stop = min(w + 256, ownEnd);
      let sum = f32x4.splat(0), magnitude = sum;
      for (; w < stop; w += 16, c += 16) {
        const term = f32x4.mul(v128.load(w), f32x4.sub(v128.load(c), own));
        sum = f32x4.add(sum, term);
        magnitude = f32x4.add(magnitude, f32x4.abs(term));
      }
      heat = addWide(heat, sum);
      heatMagnitude = addWide(heatMagnitude, magnitude);
    }
    if (quotient > 0) damp(columns, weights, norms, quotient);
    let total = f64x2.splat(0);
    let column = columnRadials;
    for (let w = weights, c = cosines; w < end; ) {
      const stop = min(w + 256, end);
      let sum = f32x4.splat(0);
      for (; w < stop; w += 16, c += 16, column += 16) {
        const product = f32x4.mul(v128.load(w), v128.load(c));
        v128.store(column, f32x4.add(v128.load(column), product));
        sum = f32x4.add(sum, product);
      }
      total = addWide(total, sum);
    }
    store<f64>(radials + (<usize>i << 3), sumWide(total));
    store<f64>(results, sumWide(heat));
    store<f64>(results, sumWide(heatMagnitude), 8);
  }
}

/**
 * Multiplies by |b| / (|b| + ε/|a|). This turns a cosine divided by |a||b| into one divided by |a||b| + ε, and does the
 * same to a gradient with respect to the cosine.
 */
export function damp(columns: i32, values: usize, norms: usize, quotient: f32): void {
  const q = f32x4.splat(quotient);
  const end = values + (<usize>columns << 2);
  for (; values < end; values += 16, norms += 16) {
    const norm = v128.load(norms);
    v128.store(values, f32x4.mul(v128.load(values), f32x4.div(norm, f32x4.add(norm, q))));
  }
}

export function maskGroup(columns: i32, cosines: usize, groups: usize, group: i32): void {
  const own = i32x4.splat(group);
  const end = cosines + (<usize>columns << 2);
  for (; cosines < end; cosines += 16, groups += 16) {
    const isOwn = i32x4.eq(v128.load(groups), own);
    v128.store(cosines, v128.bitselect(f32x4.splat(MASKED), v128.load(cosines), isOwn));
  }
}

/**
 * Turns gradients with respect to normalised rows into gradients with respect to the original rows, in place:
 * `(gradient - radial · row) / norm`, or 0 for a zero row.
 */
export function projectRows(
  rows: i32, width: i32, gradients: usize, normalized: usize, stride: usize, radials: usize, norms: usize,
): void {
  for (let i = 0; i < rows; i++, gradients += stride, normalized += stride) {
    const norm = load<f64>(norms + (<usize>i << 3));
    if (norm == 0) {
      memory.fill(gradients, 0, <usize>width << 2);
      continue;
    }
    const inverse = f64x2.splat(1.0 / norm);
    const radial = f32x4.splat(<f32>load<f64>(radials + (<usize>i << 3)));
    const end = gradients + (<usize>width << 2);
    for (let g = gradients, r = normalized; g < end; g += 16, r += 16) {
      const tangent = f32x4.sub(v128.load(g), f32x4.mul(radial, v128.load(r)));
      v128.store(g, scaleWide(tangent, inverse));
    }
  }
}

/** Cosine of each row of a with the same row of b, both normalised, as float32. */
export function pairCosines(
  rows: i32, width: i32, a: usize, b: usize, stride: usize, aNorms: usize, bNorms: usize, cosines: usize,
): void {
  for (let i = 0; i < rows; i++, a += stride, b += stride) {
    let sum = f64x2.splat(0);
    for (let k: usize = 0, end = <usize>width << 2; k < end; k += 16) {
      sum = addWide(sum, f32x4.mul(v128.load(a + k), v128.load(b + k)));
    }
    const norms = load<f64>(aNorms + (<usize>i << 3)) * load<f64>(bNorms + (<usize>i << 3));
    store<f32>(cosines + (<usize>i << 2), <f32>(sumWide(sum) * damping(norms)));
  }
}

/**
 * Gradients of the pairs (row i of a, row i of b). `-ownScales[i]` is the gradient with respect to the cosine. Adds to
 * the gradients of normalised a and to their radials. Writes the gradients with respect to the original rows of b.
 */
export function pairGradients(
  rows: i32, width: i32, a: usize, b: usize, stride: usize, aNorms: usize, bNorms: usize, cosines: usize,
  ownScales: usize, aGradients: usize, aRadials: usize, bGradients: usize,
): void {
  const end = <usize>width << 2;
  for (let i = 0; i < rows; i++, a += stride, b += stride, aGradients += stride, bGradients += stride) {
    const norm = load<f64>(bNorms + (<usize>i << 3));
    if (norm == 0) {
      memory.fill(bGradients, 0, end);
      continue;
    }
    const inverse = f64x2.splat(1.0 / norm);
    const norms = norm * load<f64>(aNorms + (<usize>i << 3));
    const gradient = -<f64>load<f32>(ownScales + (<usize>i << 2)) * damping(norms);
    const radial = gradient * <f64>load<f32>(cosines + (<usize>i << 2));
    const radials = aRadials + (<usize>i << 3);
    store<f64>(radials, load<f64>(radials) + radial);
    const cross4 = f32x4.splat(<f32>gradient), radial4 = f32x4.splat(<f32>radial);
    for (let k: usize = 0; k < end; k += 16) {
      const x = v128.load(a + k), y = v128.load(b + k);
      v128.store(aGradients + k, f32x4.add(v128.load(aGradients + k), f32x4.mul(cross4, y)));
      v128.store(bGradients + k, scaleWide(f32x4.sub(f32x4.mul(cross4, x), f32x4.mul(radial4, y)), inverse));
    }
  }
}

/** Cosines of each row of a with its own `owned` rows of b, damped. All rows are normalised. */
export function ownCosines(
  rows: i32, owned: i32, width: i32, a: usize, b: usize, stride: usize, aNorms: usize, bNorms: usize,
  cosines: usize, cosineStride: usize,
): void {
  const end = <usize>width << 2;
  for (let i = 0; i < rows; i++, a += stride, cosines += cosineStride) {
    const aNorm = load<f64>(aNorms + (<usize>i << 3));
    for (let j = 0; j < owned; j++, b += stride, bNorms += 8) {
      const sum = dot(end, a, b);
      store<f32>(cosines + (<usize>j << 2), <f32>(sum * damping(aNorm * load<f64>(bNorms))));
    }
  }
}

/**
 * Gradients of own negatives. `weights` are the gradients with respect to the cosines. Adds to the gradients of
 * normalised a and to their radials. Overwrites b with the gradients with respect to the original rows of b.
 */
export function ownGradients(
  rows: i32, owned: i32, width: i32, a: usize, b: usize, stride: usize, aNorms: usize, bNorms: usize,
  weights: usize, cosines: usize, weightStride: usize, aGradients: usize, aRadials: usize,
): void {
  const end = <usize>width << 2;
  for (let i = 0; i < rows; i++, a += stride, aGradients += stride, weights += weightStride, cosines += weightStride) {
    const aNorm = load<f64>(aNorms + (<usize>i << 3));
    let radials: f64 = 0;
    for (let j = 0; j < owned; j++, b += stride, bNorms += 8) {
      const norm = load<f64>(bNorms);
      const weight = load<f32>(weights + (<usize>j << 2));
      if (norm == 0 || weight == 0) {
        memory.fill(b, 0, end);
        continue;
      }
      const inverse = f64x2.splat(1.0 / norm);
      const gradient = <f64>weight * damping(aNorm * norm);
      const radial = gradient * <f64>load<f32>(cosines + (<usize>j << 2));
      radials += radial;
      const cross4 = f32x4.splat(<f32>gradient), radial4 = f32x4.splat(<f32>radial);
      for (let k: usize = 0; k < end; k += 16) {
        const x = v128.load(a + k), y = v128.load(b + k);
        v128.store(aGradients + k, f32x4.add(v128.load(aGradients + k), f32x4.mul(cross4, y)));
        v128.store(b + k, scaleWide(f32x4.sub(f32x4.mul(cross4, x), f32x4.mul(radial4, y)), inverse));
      }
    }
    const sum = aRadials + (<usize>i << 3);
    store<f64>(sum, load<f64>(sum) + radials);
  }
}

/** |a||b| / (|a||b| + ε), from the product of the norms. */
function damping(norms: f64): f64 {
  return norms / (norms + 1e-8);
}

/**
 * Writes the indices of the candidates, except `own`, whose cosine is within `tolerance` of the highest, in order.
 * Returns their number, 0 where a cosine is not a number. `cosines` are dot products of normalised rows, padded to a
 * multiple of 16.
 */
export function nearHighest(
  candidates: i32, cosines: usize, norms: usize, quotient: f32, own: i32, tolerance: f32, indices: usize,
): i32 {
  const columns = (candidates + 15) & ~15;
  if (quotient > 0) damp(columns, cosines, norms, quotient);
  if (own < candidates) store<f32>(cosines + (<usize>own << 2), MASKED);
  for (let j = candidates; j < columns; j++) store<f32>(cosines + (<usize>j << 2), MASKED);
  let most = f32x4.splat(MASKED);
  const end = cosines + (<usize>columns << 2);
  for (let c = cosines; c < end; c += 16) most = f32x4.max(most, v128.load(c));
  const least = f32x4.splat(maxLane(most) - tolerance);
  let count = 0;
  for (let c = cosines; c < end; c += 16) {
    let lanes = i32x4.bitmask(f32x4.ge(v128.load(c), least));
    for (; lanes != 0; lanes &= lanes - 1, count++) {
      store<i32>(indices + (<usize>count << 2), <i32>((c - cosines) >> 2) + ctz(lanes));
    }
  }
  return count;
}
