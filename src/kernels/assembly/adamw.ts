/**
 * One AdamW step on `count` floats, a multiple of 4, in place. The scalar kernel has the formula. `rest1` and `rest2`
 * are 1 - beta1 and 1 - beta2. The host computes them, because float32 would lose half their digits.
 */
export function adamw(
  count: i32, values: usize, gradients: usize, first: usize, second: usize,
  beta1: f32, rest1: f32, beta2: f32, rest2: f32, keep: f32, rate: f32, inverseRoot: f32, eps: f32, gradientScale: f32,
): void {
  const b1 = f32x4.splat(beta1), c1 = f32x4.splat(rest1), b2 = f32x4.splat(beta2), c2 = f32x4.splat(rest2);
  const keeps = f32x4.splat(keep), rates = f32x4.splat(rate), roots = f32x4.splat(inverseRoot);
  const epsilon = f32x4.splat(eps), scale = f32x4.splat(gradientScale);
  for (const end = values + (<usize>count << 2); values < end; values += 16, gradients += 16, first += 16, second += 16) {
    const g = f32x4.mul(scale, v128.load(gradients));
    const m = f32x4.add(f32x4.mul(b1, v128.load(first)), f32x4.mul(c1, g));
    const v = f32x4.add(f32x4.mul(b2, v128.load(second)), f32x4.mul(c2, f32x4.mul(g, g)));
    const root = f32x4.add(f32x4.mul(f32x4.sqrt(v), roots), epsilon);
    v128.store(first, m);
    v128.store(second, v);
    v128.store(values, f32x4.sub(f32x4.mul(keeps, v128.load(values)), f32x4.div(f32x4.mul(rates, m), root)));
  }
}
