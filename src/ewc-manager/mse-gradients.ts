import type { Adapter, EmbeddedExample } from '../types.js';

/**
 * Gradients of `mean((y - target)²)` for one example, where `y = [x +] scaling · x·A·B`. Of an
 * embedding that is longer than the adapter, the rest is ignored. A target that is shorter counts as 0 beyond its end.
 */
export function mseGradients(
  { inputEmb, outputEmb }: EmbeddedExample,
  { loraA, loraB, scaling }: Adapter,
): { gradA: number[][]; gradB: number[][] } {
  const dim = Math.min(inputEmb.length, loraA.length);
  const isSquare = loraA.length === loraB[0]!.length;
  const outDim = isSquare ? dim : loraB[0]!.length;
  const dims = Array.from({ length: dim }, (_, i) => i);
  const outDims = Array.from({ length: outDim }, (_, j) => j);

  const hidden = loraB.map((_, k) => dims.reduce((sum, i) => sum + inputEmb[i]! * loraA[i]![k]!, 0));
  const gradOutput = outDims.map(j => {
    const residual = isSquare ? inputEmb[j]! : 0;
    const output = loraB.reduce((sum, row, k) => sum + scaling * hidden[k]! * row[j]!, residual);
    return (2 * (output - (outputEmb[j] ?? 0))) / outDim;
  });
  const gradHidden = loraB.map(row => scaling * outDims.reduce((sum, j) => sum + gradOutput[j]! * row[j]!, 0));
  return {
    gradA: dims.map(i => gradHidden.map(gradient => inputEmb[i]! * gradient)),
    gradB: hidden.map(value => gradOutput.map(gradient => scaling * value * gradient)),
  };
}
