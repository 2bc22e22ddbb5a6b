import { checkArray, checkFinite, checkNumber, checkObject, checkVector, isFiniteRow } from '../internal/validate.js';
import type { EmbeddedExample } from '../types.js';

/** Checks all examples, except their own negatives. */
export function checkData(call: string, data: unknown): asserts data is readonly EmbeddedExample[] {
  checkArray(call, 'data', data);
  // This loop also visits holes.
  for (let i = 0; i < data.length; i++) {
    const example = data[i];
    if (isPlain(example)) continue;
    checkExample(call, example, i);
    checkFinite(call, `data[${i}].inputEmb`, example.inputEmb);
    checkFinite(call, `data[${i}].outputEmb`, example.outputEmb);
    if (example.quality !== undefined && example.quality !== null)
      checkNumber(call, `data[${i}].quality`, example.quality);
  }
}

/** Checks the rows of an example, without looking for numbers that are not finite. */
export function checkExample(call: string, example: unknown, index: number): asserts example is EmbeddedExample {
  checkObject(call, `data[${index}]`, example);
  checkVector(call, `data[${index}].inputEmb`, example['inputEmb']);
  checkVector(call, `data[${index}].outputEmb`, example['outputEmb']);
}

/** Whether an example passes all checks, in the common case. Making the names for messages takes longer than this. */
function isPlain(example: unknown): boolean {
  if (typeof example !== 'object' || example === null) return false;
  const { inputEmb, outputEmb, quality } = example as Record<string, unknown>;
  return isFiniteFloats(inputEmb) && isFiniteFloats(outputEmb) && (quality === undefined || Number.isFinite(quality));
}

function isFiniteFloats(row: unknown): boolean {
  return row instanceof Float32Array && row.length > 0 && isFiniteRow(row);
}
