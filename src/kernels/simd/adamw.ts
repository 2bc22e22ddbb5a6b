import type { MutableVector, Rows } from '../../types.js';
import type { AdamMoments, AdamStep } from '../kernels.js';
import { bufferOf, flatten } from '../matrix.js';
import * as scalar from '../scalar/parameters.js';
import type { KernelMemory } from './memory.js';

/**
 * AdamW for matrices in one float32 buffer, such as a LoRAAdapter's. At 6,144 entries, copying seven of them in and out
 * takes 2 µs, and the loop in JavaScript takes 70 µs. Other matrices go to the scalar kernel.
 */
export function adamw(
  memory: KernelMemory,
  values: readonly MutableVector[],
  gradients: Rows,
  moments: AdamMoments,
  step: AdamStep,
): void {
  const [value, first, second] = [bufferOf(values), bufferOf(moments.first), bufferOf(moments.second)];
  const areFloat32 = [value, first, second].every(buffer => buffer instanceof Float32Array);
  if (!value || !first || !second || !areFloat32) {
    scalar.adamw(values, gradients, moments, step);
    return;
  }

  memory.begin();
  const { length } = value;
  const [v, g, m, s] = [
    memory.take(4 * length),
    memory.take(4 * length),
    memory.take(4 * length),
    memory.take(4 * length),
  ];
  memory.commit();
  const { call, f32 } = memory;
  f32.set(value, v / 4);
  f32.set(flatten(gradients), g / 4);
  f32.set(first, m / 4);
  f32.set(second, s / 4);
  const { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradientScale } = step;
  const [keep, rate, inverseRoot] = [1 - lr * weightDecay, lr / correction1, 1 / Math.sqrt(correction2)];
  // Regions are whole cache lines, so the last vector may reach beyond the entries.
  call.adamw(length, v, g, m, s, beta1, 1 - beta1, beta2, 1 - beta2, keep, rate, inverseRoot, eps, gradientScale);
  value.set(f32.subarray(v / 4, v / 4 + length));
  first.set(f32.subarray(m / 4, m / 4 + length));
  second.set(f32.subarray(s / 4, s / 4 + length));
}
