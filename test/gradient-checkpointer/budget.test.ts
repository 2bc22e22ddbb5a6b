import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type ChainStep, GradientCheckpointer } from '../../src/index.js';
import { leastTotalCost } from '../laws/schedules.js';

/** A chain of states of given sizes, which adds up the costs of its forwards. */
function chainOf(
  costs: readonly number[],
  sizes: readonly number[],
): { steps: ChainStep<Uint8Array>[]; cost(): number } {
  let total = 0;
  const steps = costs.map((cost, i) => ({
    cost,
    bytes: sizes[i + 1] ?? 1,
    forward: (): Uint8Array => {
      total += cost;
      return new Uint8Array(sizes[i + 1] ?? 1).fill(i + 1);
    },
    backward: (x: Uint8Array, gradY: Uint8Array): Uint8Array => {
      expect([...x]).toEqual(new Array(sizes[i]).fill(i));
      return gradY;
    },
  }));
  return { steps, cost: () => total };
}

const costs = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 7 });

it('a budget of states of one size is spent by the costs of the steps', () => {
  fc.assert(
    fc.property(costs, fc.integer({ min: 2, max: 7 }), (ofSteps, states) => {
      const sizes = ofSteps.map(() => 3);
      const { steps, cost } = chainOf(ofSteps, sizes);
      const checkpointer = new GradientCheckpointer({ strategy: 'budget', memoryBudget: 3 * states });
      checkpointer.chain(steps, new Uint8Array(3)).backward(Uint8Array.of(1));
      expect(cost()).toBe(leastTotalCost(ofSteps, sizes, 3 * states));
    }),
  );
});

it('a budget is planned anew for other steps, and for another budget', () => {
  const checkpointer = new GradientCheckpointer({ strategy: 'budget' });
  fc.assert(
    fc.property(costs, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), fc.nat(20), (ofSteps, more, spare) => {
      const sizes = ofSteps.map(() => more.next().value as number);
      const memoryBudget = sizes[0]! + Math.max(0, ...sizes.slice(1)) + spare;
      const { steps, cost } = chainOf(ofSteps, sizes);
      const { stats } = checkpointer
        .chain(steps, new Uint8Array(sizes[0]!), { memoryBudget })
        .backward(Uint8Array.of(1));
      expect(cost()).toBe(leastTotalCost(ofSteps, sizes, memoryBudget));
      expect(stats.peakBytes).toBeLessThanOrEqual(memoryBudget);
    }),
  );
});

it('states without bytes are all held within a budget of 0', () => {
  const { steps } = chainOf([1, 1, 1, 1], [0, 0, 0, 0]);
  const checkpointer = new GradientCheckpointer({ strategy: 'budget', memoryBudget: 0 });
  const { stats } = checkpointer.chain(steps, new Uint8Array(0)).backward(Uint8Array.of(1));
  expect(stats).toEqual({ forwardCalls: 4, recomputations: 0, peakLiveStates: 4, peakBytes: 0 });
});
