import { expect, it } from 'vitest';
import { GradientCheckpointer, LoRAAdapter } from '../../src/index.js';

it('a state of bytes is the same state at any offset', () => {
  let calls = 0;
  const step = {
    forward: (input: Uint8Array): Uint8Array => {
      const buffer = new Uint8Array(16);
      const offset = calls++ % 3;
      buffer.set([1, 2, 3, 4, input[0]! + 1, 6, 7, 8], offset);
      return buffer.subarray(offset, offset + 8);
    },
    backward: (_: Uint8Array, grad: Uint8Array) => grad,
  };
  const checkpointer = new GradientCheckpointer({
    strategy: 'segments',
    checkpointSegments: 2,
    determinism: 'value',
  } as never);
  const run = checkpointer.chain([step, step, step, step] as never, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) as never);
  expect(() => run.backward(Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1) as never)).not.toThrow();
});

it('the backward of a step refuses rows of another width', () => {
  const step = new LoRAAdapter({ dim: 3, rank: 1 }).asStep();
  expect(() => step.backward([[1, 2]], [[1, 2, 3]])).toThrow('LoRAAdapter.asStep.backward: rows[0] has 2 entries');
});
