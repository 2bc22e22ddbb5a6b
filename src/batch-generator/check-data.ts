import { checkArray, checkFinite, checkNumber, checkObject, checkVector, isFiniteRow } from '../internal/validate.js';
import type { EmbeddedExample } from '../types.js';

const CALL = 'BatchGenerator';

/** Checks all examples, except their own negatives. */
export function checkData(data: unknown): asserts data is readonly EmbeddedExample[] {
  checkArray(CALL, 'data', data);
  // Holes are visited too.
  for (let i = 0; i < data.length; i++) {
    const example = data[i];
    if (isPlain(example)) continue;
    checkExample(example, i);
    checkFinite(CALL, `data[${i}].inputEmb`, example.inputEmb);
    checkFinite(CALL, `data[${i}].outputEmb`, example.outputEmb);
    if (example.quality !== undefined && example.quality !== null)
      checkNumber(CALL, `data[${i}].quality`, example.quality);
  }
}

/** Checks that an example is one; whether its numbers are finite shows later. */
export function checkExample(example: unknown, index: number): asserts example is EmbeddedExample {
  checkObject(CALL, `data[${index}]`, example);
  checkVector(CALL, `data[${index}].inputEmb`, example['inputEmb']);
  checkVector(CALL, `data[${index}].outputEmb`, example['outputEmb']);
}

/** Whether an example is right in every way, in the common case: to make the names of its parts takes longer. */
function isPlain(example: unknown): boolean {
  if (typeof example !== 'object' || example === null) return false;
  const { inputEmb, outputEmb, quality } = example as Record<string, unknown>;
  return isFiniteFloats(inputEmb) && isFiniteFloats(outputEmb) && (quality === undefined || Number.isFinite(quality));
}

function isFiniteFloats(row: unknown): boolean {
  return row instanceof Float32Array && row.length > 0 && isFiniteRow(row);
}
