import { checkFinite, checkIterable, checkNumber, checkObject, checkVector } from '../internal/validate.js';
import type { EmbeddedExample } from '../types.js';

/** The examples as an array of their own, each of them checked. */
export function copyData<E extends EmbeddedExample>(data: Iterable<E>): E[] {
  const call = 'BatchGenerator';
  checkIterable(call, 'data', data);
  const examples = [...data];
  examples.forEach((example, i) => {
    checkObject(call, `data[${i}]`, example);
    for (const name of ['inputEmb', 'outputEmb'] as const) {
      checkVector(call, `data[${i}].${name}`, example[name]);
      checkFinite(call, `data[${i}].${name}`, example[name]);
    }
    if (example.quality !== undefined && example.quality !== null)
      checkNumber(call, `data[${i}].quality`, example.quality);
  });
  return examples;
}
