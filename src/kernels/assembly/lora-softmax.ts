import { Output, Problem, Scratch } from './lora-problem';
import { damp, maskGroup, MASKED } from './contrastive';
import { addWide, expNegative, expNonPositive, maxLane, sumWide } from './math';

/** The sums over one row of weights. */
let sum: f64 = 0;
let heat: f64 = 0;

/**
 * Turns the cosines of a block into softmax weights relative to the highest. The weight of an anchor's positive is
 * minus the sum of the others, so `scales[i] · weights[i][j]` is the gradient with respect to the dot product of
 * normalised rows.
 */
export function softmaxRows(p: Problem, s: Scratch, output: Output, first: i32, rows: i32): void {
  const stride = <usize>p.tileStride << 2, columns = <usize>p.columns << 2;
  let cosines = s.cosines, weights = s.weights;
  for (let i = 0; i < rows; i++, cosines += stride, weights += stride) {
    const row = first + i;
    const quotient = load<f32>(s.quotients + (<usize>i << 2));
    if (quotient > 0) damp(p.columns, cosines, p.norms32, quotient);
    const place = <usize>(p.firstOwn + row) << 2;
    const own = load<f32>(cosines + place);
    store<f32>(cosines + place, MASKED);
    if (p.anchorGroups != 0) {
      maskGroup(p.columns, cosines, p.candidateGroups, load<i32>(p.anchorGroups + (<usize>row << 2)));
    }
    for (let j = p.candidateCount; j < p.columns; j++) store<f32>(cosines + (<usize>j << 2), MASKED);
    if (quotient > 0 && p.isBackward) memory.copy(s.row, cosines, columns);

    const highest = highestOf(cosines, columns, own);
    exponentiate(cosines, weights, columns, highest, own, <f32>(1.0 / p.temperature));
    const result = p.results + 24 * <usize>row;
    store<f64>(result, highest);
    store<f64>(result, sum, 8);
    store<f64>(result, own, 16);
    if (!p.isBackward) continue;

    const total = sum + expNegative((<f64>highest - <f64>own) / p.temperature);
    const scale = load<f64>(p.coefficients + (<usize>row << 3)) / p.temperature / total;
    store<f32>(weights + place, <f32>-sum);
    store<f64>(s.scales + (<usize>i << 3), scale);
    output.heat += scale * heat;
    let radial = heat;
    if (quotient > 0) {
      damp(p.columns, weights, p.norms32, quotient);
      store<f32>(s.row + place, own);
      radial = dotRow(weights, s.row, columns);
    }
    store<f64>(s.radials + (<usize>i << 3), scale * radial);
    if (weights != cosines) store<f32>(cosines + place, own);
  }
}

function highestOf(cosines: usize, bytes: usize, own: f32): f32 {
  let most0 = f32x4.splat(own), most1 = most0;
  for (let c = cosines, end = cosines + bytes; c < end; c += 32) {
    most0 = f32x4.pmax(most0, v128.load(c));
    most1 = f32x4.pmax(most1, v128.load(c, 16));
  }
  return maxLane(f32x4.pmax(most0, most1));
}

/** Computes weights and their sums. Sums 64 columns in float32, then adds these sums in float64. */
function exponentiate(cosines: usize, weights: usize, bytes: usize, highest: f32, own: f32, inverse: f32): void {
  const shift = f32x4.splat(highest), own4 = f32x4.splat(own), scale = f32x4.splat(inverse);
  let total = f64x2.splat(0), heats = total;
  const end = cosines + bytes;
  for (let c = cosines, w = weights; c < end; ) {
    const stop = min(c + 256, end);
    let sum4 = f32x4.splat(0), heat4 = sum4;
    for (; c < stop; c += 32, w += 32) {
      const c0 = v128.load(c), c1 = v128.load(c, 16);
      const w0 = expNonPositive(f32x4.mul(f32x4.sub(c0, shift), scale));
      const w1 = expNonPositive(f32x4.mul(f32x4.sub(c1, shift), scale));
      v128.store(w, w0);
      v128.store(w, w1, 16);
      sum4 = f32x4.add(sum4, f32x4.add(w0, w1));
      const h0 = f32x4.mul(w0, f32x4.sub(c0, own4)), h1 = f32x4.mul(w1, f32x4.sub(c1, own4));
      heat4 = f32x4.add(heat4, f32x4.add(h0, h1));
    }
    total = addWide(total, sum4);
    heats = addWide(heats, heat4);
  }
  sum = sumWide(total);
  heat = sumWide(heats);
}

function dotRow(a: usize, b: usize, bytes: usize): f64 {
  let total = f64x2.splat(0);
  for (let k: usize = 0; k < bytes; k += 16) total = addWide(total, f32x4.mul(v128.load(a + k), v128.load(b + k)));
  return sumWide(total);
}

/** Adds Σ gradient · cosine over the block's rows to each column. */
export function addColumnRadials(p: Problem, s: Scratch, rows: i32): void {
  const stride = <usize>p.tileStride << 2, columns = <usize>p.columns << 2;
  for (let i = 0; i < rows; i++) {
    const scale = f32x4.splat(<f32>load<f64>(s.scales + (<usize>i << 3)));
    const w = s.weights + <usize>i * stride, c = s.cosines + <usize>i * stride;
    for (let k: usize = 0; k < columns; k += 16) {
      const term = f32x4.mul(f32x4.mul(v128.load(w + k), scale), v128.load(c + k));
      v128.store(s.columnRadials + k, f32x4.add(v128.load(s.columnRadials + k), term));
    }
  }
}
