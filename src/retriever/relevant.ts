import { checkArray, checkNumber, checkSameCount, isVector, wrongType } from '../internal/validate.js';

/** The candidates that answer one query: an index or several. */
export type RelevantCandidates = number | ArrayLike<number>;

/** The distinct indices by query. */
export function checkRelevant(
  call: string,
  relevant: readonly RelevantCandidates[],
  queries: number,
  candidates: number,
): number[][] {
  checkArray(call, 'relevant', relevant);
  checkSameCount(call, 'relevant', relevant.length, 'queries', queries);
  const rule = { integer: true, min: 0, max: candidates - 1 };
  return relevant.map((entry: unknown, i) => {
    const name = `relevant[${i}]`;
    if (typeof entry === 'number') return [checkNumber(call, name, entry, rule)];
    if (!isVector(entry)) throw wrongType(call, name, 'an index or an array of indices', entry);
    if (entry.length === 0) throw new RangeError(`${call}: ${name} is empty: query ${i} has no relevant candidate`);
    return [...new Set(Array.from(entry, (index, n) => checkNumber(call, `${name}[${n}]`, index, rule)))];
  });
}
