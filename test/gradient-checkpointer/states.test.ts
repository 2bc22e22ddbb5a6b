import { describe, expect, it } from 'vitest';
import { type ChainOptions, type ChainStep, GradientCheckpointer } from '../../src/index.js';

const same: ChainStep<unknown> = { forward: x => x, backward: (_, gradY) => gradY };
const bytesOf = (state: unknown, options?: ChainOptions): number =>
  new GradientCheckpointer(options).chain([same, same], state).backward(1).stats.peakBytes;

/** `leaf` in arrays, one in the other. */
function nested(levels: number, leaf: unknown): unknown {
  let state = leaf;
  for (let i = 0; i < levels; i++) state = [state];
  return state;
}

describe('a state of many levels', () => {
  it('is taken to 1,000 levels below the first, with every check', () => {
    for (const determinism of ['none', 'shape', 'value'] as const)
      expect(bytesOf(nested(1001, 7), { determinism, strategy: 'binomial', slots: 1 })).toBe(2 * 8);
  });

  it('is refused below that', () => {
    expect(() => bytesOf(nested(1002, 7))).toThrow(RangeError);
    expect(() => bytesOf(nested(1002, 7))).toThrow(
      /^GradientCheckpointer\.chain: input\[0\].* is more than 1000 levels deep$/,
    );
  });

  it('is refused for its innermost part where that is no state', () => {
    expect(() => bytesOf(nested(1001, 'x'))).toThrow(TypeError);
    expect(() => bytesOf(nested(1001, 'x'))).toThrow('got "x"');
  });
});

it('the message for a state names the first part that is none, behind parts that are', () => {
  expect(() => bytesOf([[1, [2]], { a: [3], b: 'x' }])).toThrow(
    'GradientCheckpointer.chain: input[1].b must be a typed array, a number, or an array or plain object of these, got "x"',
  );
});

describe('determinism', () => {
  /** Three steps, of which the first returns `first`, and `second` when it is run again. */
  const backwardOf = (determinism: ChainOptions['determinism'], first: unknown, second: unknown) => {
    let calls = 0;
    const changing: ChainStep<unknown> = { ...same, forward: () => (calls++ === 0 ? first : second) };
    const checkpointer = new GradientCheckpointer({
      strategy: 'binomial',
      slots: 1,
      ...(determinism && { determinism }),
    });
    return () => checkpointer.chain([changing, same, same], 0).backward(1);
  };
  const SHAPE = 'forward of step 0 returned another shape when it was run again';
  const VALUE = 'forward of step 0 returned another value when it was run again';

  it("'none', the default, takes a result of another shape", () => {
    expect(backwardOf('none', [1, 2], [1])).not.toThrow();
    expect(backwardOf(undefined, [1, 2], [1])).not.toThrow();
  });

  it("'shape' takes other numbers, in arrays and alone", () => {
    expect(backwardOf('shape', [1, { a: 2 }], [3, { a: 4 }])).not.toThrow();
    expect(backwardOf('shape', 1, 2)).not.toThrow();
    expect(backwardOf('value', 1, 2)).toThrow(VALUE);
  });

  it("'shape' tells an array from an object with the same keys, and a number from an array of it", () => {
    expect(backwardOf('shape', [1, 2], { 0: 1, 1: 2 })).toThrow(SHAPE);
    expect(backwardOf('shape', [1], 1)).toThrow(SHAPE);
  });

  it('compares bytes wherever they start', () => {
    const bytes = Uint8Array.from({ length: 16 }, (_, i) => i);
    for (let from = 0; from < 5; from++) {
      for (let length = 0; length < 9; length++) {
        const state = (): Uint8Array => Uint8Array.from(bytes).subarray(from, from + length);
        expect(backwardOf('value', state(), state())).not.toThrow();
        for (let i = 0; i < length; i++) {
          const changed = state();
          changed[i]!++;
          expect(backwardOf('value', state(), changed)).toThrow(VALUE);
        }
      }
    }
  });
});

describe('gradients', () => {
  const backwardOf = (returned: unknown): (() => unknown) => {
    const step: ChainStep<unknown> = { ...same, backward: () => returned };
    return () => new GradientCheckpointer().chain([step], 1).backward(1);
  };

  it.each([null, undefined, { gradInputs: null }, { gradInputs: undefined, gradParams: 1 }])(
    'a backward that returns %o returns none',
    returned => {
      expect(backwardOf(returned)).toThrow(
        new TypeError(
          `GradientCheckpointer.chain: backward of step 0 must return the gradient of its input, got ${
            returned === null ? null : returned?.gradInputs
          }`,
        ),
      );
    },
  );

  it('may come without gradParams, as an object or bare', () => {
    expect(backwardOf({ gradInputs: [3] })()).toMatchObject({ gradInputs: [3], gradParams: [undefined] });
    expect(backwardOf([3])()).toMatchObject({ gradInputs: [3], gradParams: [undefined] });
  });
});
