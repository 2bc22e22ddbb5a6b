import type { Adapter, Through } from '../types.js';
import { checkObject, describe, wrongType } from './validate.js';

/** Checks that `through` names at least one adapter of the Map, and nothing else. */
export function checkThrough(
  call: string,
  through: unknown,
  adapters: ReadonlyMap<string, Adapter>,
): asserts through is Through {
  checkObject(call, 'through', through);
  let isNamed = false;
  for (const [part, name] of Object.entries(through)) {
    if (part !== 'anchors' && part !== 'positives')
      throw new RangeError(`${call}: through has ${describe(part)}, expected 'anchors' | 'positives'`);
    if (name === undefined) continue;
    if (typeof name !== 'string') throw wrongType(call, `through.${part}`, 'the name of an adapter', name);
    if (!adapters.has(name)) throw new RangeError(`${call}: through.${part} is ${describe(name)}, which is no adapter`);
    isNamed = true;
  }
  if (!isNamed) throw new RangeError(`${call}: through names no adapter`);
}
