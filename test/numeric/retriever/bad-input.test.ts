import { describe, expect, it } from 'vitest';
import { cosineSimilarity, mineHardNegatives, Retriever } from '../../../src/index.js';

type Row = [message: string, kind: typeof TypeError | typeof RangeError, call: () => unknown];

/** A value that breaks the static types, as plain JavaScript may. */
// biome-ignore lint/suspicious/noExplicitAny: the tests pass values that the types refuse
const untyped = (value: unknown): any => value;

const rows = [
  [1, 2],
  [3, 4],
];
const one = [[1, 2]];
const withNaN = [
  [1, 2],
  [3, Number.NaN],
];
const retriever = new Retriever(rows);
const mine = (options: unknown) => () => mineHardNegatives(rows, rows, [0, 1], untyped(options));

const constructions: Row[] = [
  ['Retriever: candidates must be an array, got undefined', TypeError, () => new Retriever(untyped(undefined))],
  ['Retriever: candidates has no rows', RangeError, () => new Retriever([])],
  ['Retriever: candidates[0] is empty', RangeError, () => new Retriever([[]])],
  ['Retriever: candidates[1] has 1 entry, expected 2', RangeError, () => new Retriever([[1, 2], [3]])],
  ['Retriever: candidates[1][1] must be finite, got NaN', RangeError, () => new Retriever(withNaN)],
  [
    'Retriever: candidates[0][1] must be finite, got -Infinity',
    RangeError,
    () => new Retriever([Float32Array.of(1, -Infinity)]),
  ],
  ['Retriever: candidates[0][1] must be a number, got "2"', TypeError, () => new Retriever(untyped([[1, '2']]))],
  [
    'Retriever: candidates[1] must be a Float32Array, Float64Array or number[], got "x"',
    TypeError,
    () => new Retriever(untyped([[1], 'x'])),
  ],
];

const searches: Row[] = [
  ['Retriever.search: queries has no rows', RangeError, () => retriever.search([], 1)],
  [
    'Retriever.search: queries must be an array, got a Float32Array',
    TypeError,
    () => retriever.search(untyped(Float32Array.of(1, 2)), 1),
  ],
  ['Retriever.search: queries[0] has 3 entries, expected 2', RangeError, () => retriever.search([[1, 2, 3]], 1)],
  ['Retriever.search: queries[1][1] must be finite, got NaN', RangeError, () => retriever.search(withNaN, 1)],
  [
    `Retriever.search: precision must be 'float32' | 'int16', got "int8"`,
    RangeError,
    () => retriever.search(rows, 1, untyped({ precision: 'int8' })),
  ],
  [
    `Retriever.evaluate: precision must be 'float32' | 'int16', got "int8"`,
    RangeError,
    () => retriever.evaluate(rows, [0, 1], untyped({ precision: 'int8' })),
  ],
  ['Retriever.search: k must be an integer of at least 1, got 0', RangeError, () => retriever.search(rows, 0)],
  ['Retriever.search: k must be an integer of at least 1, got 1.5', RangeError, () => retriever.search(rows, 1.5)],
  [
    'Retriever.search: k must be an integer of at least 1, got Infinity',
    RangeError,
    () => retriever.search(rows, Infinity),
  ],
  [
    'Retriever.search: k must be an integer of at least 1, got "3"',
    TypeError,
    () => retriever.search(rows, untyped('3')),
  ],
  [
    'Retriever.search: k must be an integer of at least 1, got undefined',
    TypeError,
    () => retriever.search(rows, untyped(undefined)),
  ],
];

const evaluations: Row[] = [
  ['Retriever.evaluate: queries has no rows', RangeError, () => retriever.evaluate([], [])],
  [
    'Retriever.evaluate: queries[1] has 1 entry, expected 2',
    RangeError,
    () => retriever.evaluate([[1, 2], [1]], [0, 1]),
  ],
  ['Retriever.evaluate: queries[1][1] must be finite, got NaN', RangeError, () => retriever.evaluate(withNaN, [0, 1])],
  ['Retriever.evaluate: relevant has 1 row, queries has 2', RangeError, () => retriever.evaluate(rows, [0])],
  [
    'Retriever.evaluate: relevant must be an array, got undefined',
    TypeError,
    () => retriever.evaluate(rows, untyped(undefined)),
  ],
  [
    'Retriever.evaluate: relevant[1] must be an integer from 0 to 1, got 2',
    RangeError,
    () => retriever.evaluate(rows, [0, 2]),
  ],
  [
    'Retriever.evaluate: relevant[0] must be an integer from 0 to 1, got -1',
    RangeError,
    () => retriever.evaluate(rows, [-1, 0]),
  ],
  [
    'Retriever.evaluate: relevant[1][1] must be an integer from 0 to 1, got 2',
    RangeError,
    () => retriever.evaluate(rows, [0, [1, 2]]),
  ],
  [
    'Retriever.evaluate: relevant[1][0] must be an integer from 0 to 1, got "0"',
    TypeError,
    () => retriever.evaluate(rows, untyped([0, ['0']])),
  ],
  [
    'Retriever.evaluate: relevant[1] must be an index or an array of indices, got "0"',
    TypeError,
    () => retriever.evaluate(rows, untyped([0, '0'])),
  ],
  [
    'Retriever.evaluate: relevant[1] is empty: query 1 has no relevant candidate',
    RangeError,
    () => retriever.evaluate(rows, [0, []]),
  ],
  [
    'Retriever.evaluate: at must be an array, got 10',
    TypeError,
    () => retriever.evaluate(rows, [0, 1], { at: untyped(10) }),
  ],
  [
    'Retriever.evaluate: at[1] must be an integer of at least 1, got 0',
    RangeError,
    () => retriever.evaluate(rows, [0, 1], { at: [1, 0] }),
  ],
  [
    'Retriever.evaluate: seed must be an integer from 0 to 4294967295, got -1',
    RangeError,
    () => retriever.evaluate(rows, [0, 1], { seed: -1 }),
  ],
  [
    'Retriever.evaluate: options must be an object, got 3',
    TypeError,
    () => retriever.evaluate(rows, [0, 1], untyped(3)),
  ],
];

const minings: Row[] = [
  ['mineHardNegatives: candidates has no rows', RangeError, () => mineHardNegatives(rows, [], [0, 1])],
  [
    'mineHardNegatives: candidates[1][1] must be finite, got NaN',
    RangeError,
    () => mineHardNegatives(rows, withNaN, [0, 1]),
  ],
  [
    'mineHardNegatives: candidates[1] has 1 entry, expected 2',
    RangeError,
    () => mineHardNegatives(rows, [[1, 2], [3]], [0, 1]),
  ],
  [
    'mineHardNegatives: candidates must be an array, got an object',
    TypeError,
    () => mineHardNegatives(rows, untyped({}), [0, 1]),
  ],
  ['mineHardNegatives: queries[0] has 2 entries, expected 1', RangeError, () => mineHardNegatives(rows, [[1]], [0, 0])],
  [
    'mineHardNegatives: queries[1][1] must be finite, got NaN',
    RangeError,
    () => mineHardNegatives(withNaN, retriever, [0, 1]),
  ],
  ['mineHardNegatives: relevant has 2 rows, queries has 1', RangeError, () => mineHardNegatives(one, rows, [0, 1])],
  [
    'mineHardNegatives: relevant[0] must be an integer from 0 to 1, got 5',
    RangeError,
    () => mineHardNegatives(one, rows, [5]),
  ],
  [
    'mineHardNegatives: relevant[0] is empty: query 0 has no relevant candidate',
    RangeError,
    () => mineHardNegatives(one, rows, [[]]),
  ],
  ['mineHardNegatives: count must be an integer of at least 1, got 0', RangeError, mine({ count: 0 })],
  [
    'mineHardNegatives: count must be at most the 3 ranks of range, got 4',
    RangeError,
    mine({ count: 4, range: [2, 5] }),
  ],
  ['mineHardNegatives: range must be an array, got 5', TypeError, mine({ range: 5 })],
  ['mineHardNegatives: range must be [from, to], got an array of 1', RangeError, mine({ range: [5] })],
  ['mineHardNegatives: range[0] must be an integer of at least 0, got -1', RangeError, mine({ range: [-1, 5] })],
  ['mineHardNegatives: range[1] must be an integer of at least 6, got 5', RangeError, mine({ range: [5, 5] })],
  ["mineHardNegatives: sampling must be 'top' | 'random', got \"best\"", RangeError, mine({ sampling: 'best' })],
  [
    'mineHardNegatives: maxSimilarity must be a finite number from -1 to 1, got 2',
    RangeError,
    mine({ maxSimilarity: 2 }),
  ],
  [
    'mineHardNegatives: relativeMargin must be a finite number of at least 0, got -0.1',
    RangeError,
    mine({ relativeMargin: -0.1 }),
  ],
  ['mineHardNegatives: seed must be an integer from 0 to 4294967295, got 0.5', RangeError, mine({ seed: 0.5 })],
  ['mineHardNegatives: options must be an object, got "top"', TypeError, mine('top')],
];

const cosines: Row[] = [
  ['cosineSimilarity: a is empty', RangeError, () => cosineSimilarity([], [1])],
  [
    'cosineSimilarity: b must be a Float32Array, Float64Array or number[], got 1',
    TypeError,
    () => cosineSimilarity([1], untyped(1)),
  ],
  ['cosineSimilarity: b has 1 entry, a has 2', RangeError, () => cosineSimilarity([1, 2], [1])],
  ['cosineSimilarity: b[1] must be finite, got Infinity', RangeError, () => cosineSimilarity([1, 2], [1, Infinity])],
  ['cosineSimilarity: a[0] must be a number, got null', TypeError, () => cosineSimilarity(untyped([null, 2]), [1, 2])],
];

describe('refuses', () => {
  it.each([...constructions, ...searches, ...evaluations, ...minings, ...cosines])('%s', (message, kind, call) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });

  it('and still finds the same afterwards', () => {
    const found = retriever.search(rows, 2);
    for (const [, , call] of [...searches, ...evaluations, ...minings]) expect(call).toThrow();
    expect(retriever.search(rows, 2)).toEqual(found);
  });
});
