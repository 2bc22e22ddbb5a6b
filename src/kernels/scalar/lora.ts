import type { Adapter, Float32Row, Rows } from '../../types.js';
import type { LoraBackwardResult } from '../kernels.js';
import { asMatrix, flatten, float32Matrix, float64Matrix, viewRows } from '../matrix.js';

export function loraForward(adapter: Adapter, inputs: Rows): { outputs: Float32Row[]; hidden: Rows } {
  const { loraA, loraB, scaling } = adapter;
  const rank = loraB.length;
  const outDim = loraB[0]!.length;
  const hidden = float32Matrix(inputs.length, rank);
  const outputs = viewRows(new Float32Array(inputs.length * outDim), inputs.length, outDim);
  const sums = new Float64Array(Math.max(rank, outDim));

  for (let n = 0; n < inputs.length; n++) {
    const input = inputs[n]!;
    sums.fill(0);
    for (let i = 0; i < loraA.length; i++) {
      const row = loraA[i]!;
      for (let k = 0; k < rank; k++) sums[k]! += input[i]! * row[k]!;
    }
    hidden[n]!.set(sums.subarray(0, rank));
    sums.fill(0);
    for (let k = 0; k < rank; k++) {
      const row = loraB[k]!;
      const scaled = scaling * hidden[n]![k]!;
      for (let j = 0; j < outDim; j++) sums[j]! += scaled * row[j]!;
    }
    if (loraA.length === outDim) for (let j = 0; j < outDim; j++) sums[j]! += input[j]!;
    outputs[n]!.set(sums.subarray(0, outDim));
  }
  return { outputs, hidden };
}

export function loraBackward(
  adapter: Adapter,
  inputs: Rows,
  hidden: Rows,
  gradOutputs: Rows,
  wantsInputs: boolean,
): LoraBackwardResult {
  const { loraA, loraB, scaling } = adapter;
  const dim = loraA.length;
  const rank = loraB.length;
  const outDim = loraB[0]!.length;
  const gradA = float64Matrix(dim, rank);
  const gradB = float64Matrix(rank, outDim);
  const gradInputs = viewRows(new Float32Array(inputs.length * dim), inputs.length, dim);
  const gradHidden = new Float64Array(rank);

  for (let n = 0; n < inputs.length; n++) {
    const gradOutput = gradOutputs[n]!;
    for (let k = 0; k < rank; k++) {
      const row = loraB[k]!;
      const rowGradient = gradB[k]!;
      const scaledHidden = scaling * hidden[n]![k]!;
      let sum = 0;
      for (let j = 0; j < outDim; j++) {
        sum += gradOutput[j]! * row[j]!;
        rowGradient[j]! += scaledHidden * gradOutput[j]!;
      }
      gradHidden[k] = scaling * sum;
    }
    for (let i = 0; i < dim; i++) {
      const row = loraA[i]!;
      const rowGradient = gradA[i]!;
      let sum = dim === outDim ? gradOutput[i]! : 0;
      for (let k = 0; k < rank; k++) {
        sum += gradHidden[k]! * row[k]!;
        rowGradient[k]! += inputs[n]![i]! * gradHidden[k]!;
      }
      gradInputs[n]![i] = sum;
    }
  }
  return { gradA: inFloat32(gradA), gradB: inFloat32(gradB), gradInputs: wantsInputs ? gradInputs : [] };
}

/** The matrix rounded to float32. */
function inFloat32(rows: Rows): readonly Float32Row[] {
  return asMatrix(Float32Array.from(flatten(rows)), rows.length, rows[0]!.length);
}
