import type { Adapter, Float32Row, Rows } from '../../types.js';
import type { LoraBackwardResult } from '../kernels.js';
import { asMatrix, flatten, float32Matrix, float64Matrix, viewRows } from '../matrix.js';

/**
 * For one pair, h = x·A and y = [x +] s·h·B. The gradients of the loss mean((y - target)²) are ∂B = s·h ⊗ g and
 * ∂A = x ⊗ (s·B·g), where g = 2(y - target)/d. A target shorter than the output counts as 0 beyond its end, as in the
 * original.
 */
export function mseFisher(
  adapter: Adapter,
  inputs: Rows,
  targets: Rows,
): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] } {
  const { loraA, loraB, scaling } = adapter;
  const dim = loraA.length;
  const rank = loraB.length;
  const outDim = loraB[0]!.length;
  const fisherA = float64Matrix(dim, rank);
  const fisherB = float64Matrix(rank, outDim);
  const hidden = new Float64Array(rank);
  const gradOutput = new Float64Array(outDim);

  for (let n = 0; n < inputs.length; n++) {
    const input = inputs[n]!;
    const target = targets[n]!;
    hidden.fill(0);
    for (let i = 0; i < dim; i++) {
      const row = loraA[i]!;
      for (let k = 0; k < rank; k++) hidden[k]! += input[i]! * row[k]!;
    }
    for (let j = 0; j < outDim; j++)
      gradOutput[j] = (dim === outDim ? input[j]! : 0) - (j < target.length ? target[j]! : 0);
    for (let k = 0; k < rank; k++) {
      const row = loraB[k]!;
      for (let j = 0; j < outDim; j++) gradOutput[j]! += scaling * hidden[k]! * row[j]!;
    }
    for (let k = 0; k < rank; k++) {
      const row = loraB[k]!;
      const rowFisher = fisherB[k]!;
      const scaledHidden = (2 / outDim) * scaling * hidden[k]!;
      let gradHidden = 0;
      for (let j = 0; j < outDim; j++) {
        gradHidden += gradOutput[j]! * row[j]!;
        rowFisher[j]! += (scaledHidden * gradOutput[j]!) ** 2;
      }
      const scaledGradient = (2 / outDim) * scaling * gradHidden;
      for (let i = 0; i < dim; i++) fisherA[i]![k]! += (input[i]! * scaledGradient) ** 2;
    }
  }
  for (const row of [...fisherA, ...fisherB]) {
    for (let j = 0; j < row.length; j++) row[j]! /= inputs.length;
  }
  return { fisherA, fisherB };
}

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
