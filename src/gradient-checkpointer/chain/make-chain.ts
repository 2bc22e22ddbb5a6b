import { checkArray, checkCount, checkFunction, checkNumber, checkObject } from '../../internal/validate.js';
import type { ChainStep } from '../../types.js';
import type { ChainOptions } from '../options.js';
import { leastBudget } from './budget-plan.js';
import { ChainRun } from './chain-run.js';
import { binomialPlan, type Plan, segmentsPlan, storeAll } from './plans.js';
import { bytesOf } from './state-contents.js';
import type { Chain } from './types.js';

const CALL = 'GradientCheckpointer.chain';

/**
 * Checks the steps, plans which states to hold, and runs the steps forward.
 *
 * @param planBudget Plans the strategy `'budget'`.
 */
export function makeChain<State, Params>(
  steps: readonly ChainStep<State, Params>[],
  input: State,
  options: ChainOptions,
  planBudget: (costs: readonly number[], bytes: readonly number[], budget: number) => Plan,
): Chain<State, Params | undefined> {
  checkSteps(steps);
  const inputBytes = bytesOf(CALL, 'input', input);
  const { strategy = 'segments', checkpointSegments, slots, memoryBudget, determinism = 'none' } = options;
  let plan = storeAll;
  let bytes: number[] | undefined;
  if (strategy === 'segments')
    plan = segmentsPlan(steps.length, checkCount(CALL, 'checkpointSegments', checkpointSegments));
  if (strategy === 'binomial') plan = binomialPlan(checkCount(CALL, 'slots', slots));
  if (strategy === 'budget') {
    bytes = [inputBytes];
    for (let i = 1; i < steps.length; i++) bytes.push(steps[i - 1]!.bytes ?? bytes[i - 1]!);
    const budget = checkNumber(CALL, 'memoryBudget', memoryBudget, { min: 0, infinity: true });
    const least = leastBudget(bytes);
    if (budget < least)
      throw new RangeError(`${CALL}: memoryBudget must be at least ${least} bytes for these steps, got ${budget}`);
    plan = planBudget(
      steps.map(({ cost = 1 }) => cost),
      bytes,
      budget,
    );
  }
  const run = new ChainRun<State, Params>([...steps], plan, bytes, determinism);
  return { output: run.forward(input), backward: gradOutput => run.backward(gradOutput) };
}

function checkSteps(steps: unknown): void {
  checkArray(CALL, 'steps', steps);
  if (steps.length === 0) throw new RangeError(`${CALL}: steps is empty`);
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i];
    checkObject(CALL, `steps[${i}]`, step);
    const { forward, backward, cost, bytes } = step;
    checkFunction(CALL, `steps[${i}].forward`, forward);
    checkFunction(CALL, `steps[${i}].backward`, backward);
    if (cost !== undefined) checkNumber(CALL, `steps[${i}].cost`, cost, { min: 0 });
    if (bytes !== undefined) checkNumber(CALL, `steps[${i}].bytes`, bytes, { min: 0 });
  }
}
