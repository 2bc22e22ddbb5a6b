import { describe, expect, it } from 'vitest';
import { LoRAAdapter, type LoRAAdapterOptions, type Rows } from '../../../src/index.js';

/** From 2 to 3, of rank 1. */
const adapter = LoRAAdapter.from({ loraA: [[1], [2]], loraB: [[3, 4, 5]], scaling: 2 });
const rows = [
  [1, 2],
  [3, 4],
];
const gradRows = [
  [1, 0, 0],
  [0, 1, 0],
];
/** Names of a call, of its argument, and of what has as many rows. */
type Call = [call: string, argument: string, run: (rows: Rows) => unknown];
type Backward = [...Call, counted: string];

const forwards: Call[] = [
  ['LoRAAdapter.forward', 'rows', given => adapter.forward(given)],
  ['LoRAAdapter.trace', 'rows', given => adapter.trace(given)],
  ['LoRAAdapter.asStep.forward', 'rows', given => adapter.asStep().forward(given)],
];
const backwards: Backward[] = [
  [
    'LoRAAdapter.backward',
    'gradRows',
    given => {
      adapter.forward(rows);
      return adapter.backward(given);
    },
    'the last forward',
  ],
  ['LoRAAdapter.trace.backward', 'gradRows', given => adapter.trace(rows).backward(given), 'output'],
  ['LoRAAdapter.asStep.backward', 'gradRows', given => adapter.asStep().backward(rows, given), 'rows'],
];

describe.each<Call>([...forwards, ...backwards.map(([call, argument, run]): Call => [call, argument, run])])(
  '%s',
  (call, argument, run) => {
    const width = argument === 'rows' ? 2 : 3;
    const fits = (fill: number): number[] => new Array<number>(width).fill(fill);

    it('names a bad row', () => {
      expect(() => run(undefined as never)).toThrow(
        new TypeError(`${call}: ${argument} must be an array, got undefined`),
      );
      expect(() => run([])).toThrow(new RangeError(`${call}: ${argument} has no rows`));
      expect(() => run([fits(1), 'x' as never])).toThrow(`${call}: ${argument}[1] must be a Float32Array`);
      expect(() => run([fits(1), [...fits(1), 1]])).toThrow(
        `${call}: ${argument}[1] has ${width + 1} entries, expected ${width}`,
      );
      expect(() => run([fits(1), fits(Number.NaN)])).toThrow(`${call}: ${argument}[1][0] must be finite, got NaN`);
    });

    it('says that the result overflows, and of which numbers', () => {
      const large = [fits(3e38), fits(3e38)];
      expect(() => run(large)).toThrow(RangeError);
      expect(() => run(large)).toThrow(
        `${call}: the result overflows; ${argument}, loraA, loraB${argument === 'rows' ? ', scaling' : ''} hold numbers that are too large`,
      );
    });
  },
);

it.each(backwards)('%s needs as many rows as the forward had', (call, argument, run, counted) => {
  expect(() => run([...gradRows, [1, 1, 1]])).toThrow(
    new RangeError(`${call}: ${argument} has 3 rows, ${counted} has 2`),
  );
});

it('asStep.backward names rows of its input that are not finite', () => {
  expect(() => adapter.asStep().backward([[1, Infinity]], [[1, 0, 0]])).toThrow(
    /^LoRAAdapter\.asStep\.backward: rows\[0\]\[1\]/,
  );
});

it.each<[string, LoRAAdapterOptions]>([
  ['dim must be an integer of at least 1, got 0', { dim: 0 }],
  ['outDim must be an integer of at least 1, got 0', { dim: 2, outDim: 0 }],
  ['outDim must be an integer of at least 1, got 1.5', { dim: 2, outDim: 1.5 }],
  ['rank must be an integer of at least 1, got 0', { dim: 2, rank: 0 }],
  ['alpha must be a finite number, got Infinity', { dim: 2, alpha: Infinity }],
])('LoRAAdapter: %s', (message, options) => {
  expect(() => new LoRAAdapter(options)).toThrow(`LoRAAdapter: ${message}`);
});
