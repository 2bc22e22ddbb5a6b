/**
 * Selects the columns of a row of scores that are above the threshold, in order. Writes `first` plus the column to
 * `indices` and the score to `values`, and returns their number. `columns` is rounded up to a multiple of 16, and the
 * scores of the added columns are overwritten.
 */
export function selectAbove(
  columns: i32, scores: usize, threshold: f32, first: i32, indices: usize, values: usize,
): i32 {
  const padded = (columns + 15) & ~15;
  for (let j = columns; j < padded; j++) store<f32>(scores + (<usize>j << 2), -Infinity);
  const least = f32x4.splat(threshold);
  let count: usize = 0;
  for (let j = 0; j < padded; j += 16, scores += 64) {
    const g0 = f32x4.gt(v128.load(scores), least), g1 = f32x4.gt(v128.load(scores, 16), least);
    const g2 = f32x4.gt(v128.load(scores, 32), least), g3 = f32x4.gt(v128.load(scores, 48), least);
    if (!v128.any_true(v128.or(v128.or(g0, g1), v128.or(g2, g3)))) continue;
    let lanes = i32x4.bitmask(g0) | (i32x4.bitmask(g1) << 4) | (i32x4.bitmask(g2) << 8) | (i32x4.bitmask(g3) << 12);
    for (; lanes != 0; lanes &= lanes - 1, count++) {
      const lane = ctz(lanes);
      store<i32>(indices + (count << 2), first + j + lane);
      store<f32>(values + (count << 2), load<f32>(scores + (<usize>lane << 2)));
    }
  }
  return <i32>count;
}
