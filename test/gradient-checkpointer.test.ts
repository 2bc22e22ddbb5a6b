import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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

  it('recomputes from the original input, although the function wrote to its own', () => {
    const checkpointer = new GradientCheckpointer({ maxStoredActivations: 0 });
    const double = (row: Float32Array): number => {
      row[0]! *= 2;
      return row[0]!;
    };
    expect(checkpointer.checkpoint(double, Float32Array.of(3))).toBe(6);
    for (let i = 0; i < 3; i++) expect(checkpointer.recompute(0).output).toBe(6);
  });

  it('recomputes the same result from every kind of input that a function writes to', () => {
    class Box {
      value = 1;
      get double(): number {
        return 2 * this.value;
      }
      set double(value: number) {
        this.value = value / 2;
      }
    }
    class Named extends Map<string, number> {}
    const bumpFirst = (row: { [index: number]: number }): number => {
      row[0]! += 10;
      return row[0]!;
    };
    const cases: [input: unknown, fn: (input: never) => unknown][] = [
      [[1], bumpFirst],
      [{ 0: 1 }, bumpFirst],
      [Buffer.of(1, 2), bumpFirst],
      [Uint8ClampedArray.of(1), bumpFirst],
      [Object.assign(Object.create(null), { 0: 1 }), bumpFirst],
      [new Box(), (box: Box) => (box.double += 10)],
      [new Date(1), (date: Date) => date.setTime(date.getTime() + 10)],
      [new Set([1]), (set: Set<number>) => set.add(set.size + 10).size],
      [new Named([['a', 1]]), (map: Named) => map.set('a', map.get('a')! + 10).get('a')],
      [new ArrayBuffer(1), (buffer: ArrayBuffer) => bumpFirst(new Uint8Array(buffer))],
      [
        new DataView(new ArrayBuffer(2), 1),
        (view: DataView) => view.setInt8(0, view.getInt8(0) + 10) ?? view.getInt8(0),
      ],
      [Object.assign(new Error('x'), { 0: 1 }), bumpFirst],
      [runInNewContext('new Map([["a", 1]])'), (map: Named) => map.set('a', map.get('a')! + 10).get('a')],
    ];
    for (const [input, fn] of cases) {
      const checkpointer = new GradientCheckpointer({ maxStoredActivations: 0 });
      const output = checkpointer.checkpoint(fn, input as never);
      for (let i = 0; i < 2; i++) expect(checkpointer.recompute(0).output).toBe(output);
      expect(Object.getPrototypeOf(checkpointer.recompute(0).input)).toBe(Object.getPrototypeOf(input));
    }
  });

  it('copies one level deep, and does not copy values without contents', () => {
    const checkpointer = new GradientCheckpointer();
    for (const value of [[1, 2], Float32Array.of(1), Int32Array.of(1), { a: 1 }, new Map(), Buffer.of(1)]) {
      const copy = checkpointer._shallowCopy<unknown>(value);
      expect(copy).toEqual(value);
      expect(copy).not.toBe(value);
    }
    const pending = Promise.resolve();
    for (const value of [1, 'a', null, undefined, pending, new WeakMap(), new WeakRef({}), /a/, Object(1), () => 1])
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

describe('backward', () => {
  const scale = (k: number, x: number[]): number[] => x.map(value => k * value);
  /** Calls y = k·x, whose gradient with respect to k is the sum of x·gradY. */
  const times = (checkpointer: GradientCheckpointer, k: number, x: number[]): number[] =>
    checkpointer.checkpoint(
      input => scale(k, input),
      x,
      (input, gradY) => ({
        gradInputs: scale(k, gradY),
        gradParams: input.reduce((sum, value, i) => sum + value * gradY[i]!, 0),
      }),
    );

  it('follows the calls from the output to the first input', () => {
    const checkpointer = new GradientCheckpointer();
    const hidden = times(checkpointer, 2, [1, 2]);
    times(checkpointer, 7, hidden);
    times(checkpointer, 9, [5]);
    const output = times(checkpointer, 5, times(checkpointer, 3, hidden));
    expect(output).toEqual([30, 60]);
    expect(checkpointer.backward(output, [1, 10])).toEqual({ gradInputs: [30, 300], gradParams: [315, 210, 126] });
    expect(checkpointer.getStats()).toMatchObject({ checkpoints: 5, storedCheckpoints: 2, storedFunctions: 2 });
  });

  it('accepts a bare gradient, and uses inputs as they were at the call', () => {
    const checkpointer = new GradientCheckpointer();
    const input = [3];
    const output = checkpointer.checkpoint(
      x => [x[0]! ** 2],
      input,
      (x, gradY) => [2 * x[0]! * gradY[0]!],
    );
    input[0] = 100;
    expect(checkpointer.backward(output, [1])).toEqual({ gradInputs: [6], gradParams: [undefined] });
  });

  it('treats an output that it ran backward from as a new input', () => {
    const checkpointer = new GradientCheckpointer();
    const first = times(checkpointer, 2, [1]);
    checkpointer.backward(first, [1]);
    expect(checkpointer.backward(times(checkpointer, 3, first), [1])).toEqual({ gradInputs: [3], gradParams: [2] });
  });

  it('numbers the remaining calls, each with its own output', () => {
    const checkpointer = new GradientCheckpointer({ maxStoredActivations: 2 });
    const first = times(checkpointer, 2, [1]);
    for (const k of [3, 4]) times(checkpointer, k, [1]);
    checkpointer.backward(first, [1]);
    times(checkpointer, 5, [1]);
    expect([0, 1, 2].map(i => checkpointer.recompute(i).output)).toEqual([[3], [4], [5]]);
    expect(checkpointer.getStats()).toMatchObject({ storedCheckpoints: 1, storedFunctions: 3 });
    checkpointer.clear();
    times(checkpointer, 6, [1]);
    expect(checkpointer.getStats()).toMatchObject({ storedCheckpoints: 1, storedFunctions: 1 });
  });

  it('refuses outputs that it cannot run backward from, and changes nothing', () => {
    const checkpointer = new GradientCheckpointer();
    const NO_CALL = new RangeError(
      'GradientCheckpointer.backward: output does not come from a remembered checkpoint call',
    );
    const bare = checkpointer.checkpoint(x => scale(2, x), times(checkpointer, 2, [1]));
    for (const output of [[4], 4, null, undefined]) expect(() => checkpointer.backward(output, [1])).toThrow(NO_CALL);
    expect(() => checkpointer.backward(bare, [1])).toThrow(
      new TypeError('GradientCheckpointer.backward: call 1 of the 2 that lead to output has no backwardFn'),
    );
    expect(checkpointer.getStats()).toMatchObject({ storedCheckpoints: 2, storedFunctions: 2 });
    expect(() =>
      checkpointer.backward(
        checkpointer.checkpoint(
          x => x,
          3,
          g => g,
        ),
        1,
      ),
    ).toThrow(NO_CALL);

    const shared = times(checkpointer, 2, [1]);
    const branch = times(checkpointer, 3, shared);
    checkpointer.backward(times(checkpointer, 4, shared), [1]);
    expect(() => checkpointer.backward(branch, [1])).toThrow(
      new RangeError('GradientCheckpointer.backward: call 0 of the 2 that lead to output has run backward already'),
    );
    checkpointer.clear();
    expect(() => checkpointer.backward(branch, [1])).toThrow(NO_CALL);
  });

  it('runs backward once, and forgets the calls even if one throws', () => {
    const checkpointer = new GradientCheckpointer();
    const output = times(checkpointer, 2, [1]);
    checkpointer.backward(output, [1]);
    expect(() => checkpointer.backward(output, [1])).toThrow(
      'call 0 of the 1 that lead to output has run backward already',
    );
    const faults: [string, () => number[]][] = [
      [
        'GradientCheckpointer.backward: backwardFn of call 1 must return the gradient of its input, got undefined',
        () => undefined as never,
      ],
      [
        'boom',
        () => {
          throw new Error('boom');
        },
      ],
    ];
    for (const [message, fault] of faults) {
      const broken = checkpointer.checkpoint(x => scale(2, x), times(checkpointer, 2, [1]), fault);
      expect(() => checkpointer.backward(broken, [1])).toThrow(message);
      expect(checkpointer.getStats()).toMatchObject({ storedCheckpoints: 0, storedFunctions: 0 });
    }
  });

  it('releases the inputs, although the output is still in use', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const checkpointer = new GradientCheckpointer();
    const hidden = times(checkpointer, 2, [1]);
    const output = times(checkpointer, 3, hidden);
    const inputs = checkpointer.forwardFns.map(({ input }) => new WeakRef(input as number[]));
    checkpointer.backward(output, [1]);
    await new Promise(resolve => setTimeout(resolve));
    collectGarbage();
    expect([inputs.map(each => each.deref()), hidden, output]).toEqual([[undefined, undefined], [2], [6]]);
  });
});
