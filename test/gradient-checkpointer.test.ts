import { describe, expect, it } from 'vitest';
import { GradientCheckpointer, type GradientCheckpointerOptions } from '../src/index.js';
import { readGolden } from './support/golden.js';

interface EstimateCase {
  config: GradientCheckpointerOptions;
  layers: number;
  size: number;
  estimate: object;
  stats: object;
}

interface ChainCase {
  what: string;
  outs: number[][];
  recompute0: object;
  recompute2: object;
  error: string;
  stats: object;
}

const { cases } = readGolden<{ cases: (EstimateCase | ChainCase)[] }>('gradient-checkpointer');

describe('the original’s answers', () => {
  it('checkpoint and recompute', () => {
    const golden = cases.find(each => 'what' in each)!;
    const checkpointer = new GradientCheckpointer({ maxStoredActivations: 2 });
    const outs = [1, 2, 3].map(k => checkpointer.checkpoint(row => row.map(value => value * k), [k, k + 1]));
    expect(outs).toEqual(golden.outs);
    expect(checkpointer.recompute(0)).toEqual(golden.recompute0);
    expect(checkpointer.recompute(2)).toEqual(golden.recompute2);
    expect(() => checkpointer.recompute(9)).toThrow(golden.error);
    expect(checkpointer.getStats()).toEqual(golden.stats);
  });

  it.each(cases.filter(each => 'estimate' in each))(
    'estimateMemorySavings($layers, $size)',
    ({ config, layers, size, estimate, stats }) => {
      const checkpointer = new GradientCheckpointer(config);
      expect(checkpointer.estimateMemorySavings(layers, size)).toEqual(estimate);
      expect(checkpointer.getStats()).toEqual(stats);
    },
  );
});

describe('GradientCheckpointer', () => {
  it('keeps each input once', () => {
    const checkpointer = new GradientCheckpointer();
    checkpointer.checkpoint(x => x, Float32Array.of(1, 2));
    expect(checkpointer.checkpoints[0]!.input).toBe(checkpointer.forwardFns[0]!.input);
  });

  it('recomputes from the input as it was, though the function wrote to its own', () => {
    const checkpointer = new GradientCheckpointer({ maxStoredActivations: 0 });
    const double = (row: Float32Array): number => {
      row[0]! *= 2;
      return row[0]!;
    };
    expect(checkpointer.checkpoint(double, Float32Array.of(3))).toBe(6);
    for (let i = 0; i < 3; i++) expect(checkpointer.recompute(0).output).toBe(6);
  });

  it('copies arrays, typed arrays and objects one level deep, and nothing else', () => {
    const checkpointer = new GradientCheckpointer();
    for (const value of [[1, 2], Float32Array.of(1), Float64Array.of(1), Int32Array.of(1), { a: 1 }]) {
      const copy = checkpointer._shallowCopy<unknown>(value);
      expect(copy).toEqual(value);
      expect(copy).not.toBe(value);
    }
    for (const value of [1, 'a', null, undefined, new Map(), new Date()])
      expect(checkpointer._shallowCopy(value)).toBe(value);
  });

  it('only calls the function when it is not enabled', () => {
    const checkpointer = new GradientCheckpointer({ enabled: false });
    expect(checkpointer.checkpoint(x => x + 1, 1)).toBe(2);
    expect(checkpointer.getStats()).toMatchObject({ checkpoints: 0, storedFunctions: 0 });
  });

  it('remembers nothing of a function that throws', () => {
    const checkpointer = new GradientCheckpointer();
    const fail = (): never => {
      throw new Error('broken');
    };
    expect(() => checkpointer.checkpoint(fail, 1)).toThrow('broken');
    expect(checkpointer.getStats()).toMatchObject({ checkpoints: 0, storedFunctions: 0, storedCheckpoints: 0 });
  });

  it('forgets all calls on clear', () => {
    const checkpointer = new GradientCheckpointer();
    checkpointer.checkpoint(x => x, 1);
    checkpointer.clear();
    expect(() => checkpointer.recompute(0)).toThrow('Cannot recompute segment 0');
  });
});
