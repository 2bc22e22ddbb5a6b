import { expect, it } from 'vitest';
import { GradientCheckpointer } from '../../src/index.js';

const same = (checkpointer: GradientCheckpointer, x: number[]): number[] =>
  checkpointer.checkpoint(
    input => [...input],
    x,
    (_, gradY) => gradY,
  );

it('a function may return null, which no backward starts from', () => {
  const checkpointer = new GradientCheckpointer();
  expect(checkpointer.checkpoint(() => null, null)).toBeNull();
  expect(checkpointer.recompute(0)).toEqual({ input: null, output: null });
  expect(() => checkpointer.backward(null, [1])).toThrow('output does not come from a remembered checkpoint call');
});

it.each([null, undefined])('a gradOutput of %o is refused, and the calls stay', gradOutput => {
  const checkpointer = new GradientCheckpointer();
  const output = same(checkpointer, [1]);
  expect(() => checkpointer.backward(output, gradOutput)).toThrow(
    new TypeError(`GradientCheckpointer.backward: gradOutput must be the gradient of output, got ${gradOutput}`),
  );
  expect(checkpointer.backward(output, [2]).gradInputs).toEqual([2]);
});

it('outputs are kept again once all calls have run backward', () => {
  const checkpointer = new GradientCheckpointer({ maxStoredActivations: 1 });
  for (let i = 0; i < 3; i++) {
    const output = same(checkpointer, [i]);
    expect(checkpointer.getStats()).toMatchObject({ storedCheckpoints: 1, storedFunctions: 1 });
    checkpointer.backward(output, [1]);
  }
});

it('the copy of an instance has its class and properties, and nothing of a buffer', () => {
  class Box {
    value = 1;
  }
  const copy = new GradientCheckpointer()._shallowCopy(new Box());
  expect(copy).toBeInstanceOf(Box);
  expect(structuredClone(copy)).toEqual({ value: 1 });
  expect(Object.prototype.toString.call(copy)).toBe('[object Object]');
});
