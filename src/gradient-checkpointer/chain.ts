import { checkArray, checkCount, checkFunction, checkNumber, checkObject } from '../internal/validate.js';
import { leastBudget } from './budget-plan.js';
import type { ChainOptions } from './options.js';
import { binomialPlan, type Plan, segmentsPlan, storeAll } from './plans.js';
import { ChainRun } from './run.js';
import { bytesOf } from './state.js';
import type { Chain, ChainStep } from './types.js';

/** Checks the steps, plans and runs them forward. */
export function runChain<State, Params>(
  steps: readonly ChainStep<State, Params>[],
  input: State,
  options: ChainOptions,
  planBudget: (costs: readonly number[], bytes: readonly number[], budget: number) => Plan,
): Chain<State, Params> {
  checkSteps(steps);
  const inputBytes = bytesOf('chain', 'input', input);
  const { strategy = 'segments', checkpointSegments, slots, memoryBudget, determinism = 'none' } = options;
  let plan = storeAll;
  let bytes: number[] | undefined;
  if (strategy === 'segments')
    plan = segmentsPlan(steps.length, checkCount('chain', 'checkpointSegments', checkpointSegments));
  if (strategy === 'binomial') plan = binomialPlan(checkCount('chain', 'slots', slots));
  if (strategy === 'budget') {
    bytes = [inputBytes];
    for (let i = 1; i < steps.length; i++) bytes.push(steps[i - 1]!.bytes ?? bytes[i - 1]!);
    const budget = checkNumber('chain', 'memoryBudget', memoryBudget, { min: 0, infinity: true });
    const least = leastBudget(bytes);
    if (budget < least)
      throw new RangeError(`chain: memoryBudget must be at least ${least} bytes for these steps, got ${budget}`);
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
  checkArray('chain', 'steps', steps);
  if (steps.length === 0) throw new RangeError('chain: steps is empty');
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i];
    checkObject('chain', `steps[${i}]`, step);
    const { forward, backward, cost, bytes } = step;
    checkFunction('chain', `steps[${i}].forward`, forward);
    checkFunction('chain', `steps[${i}].backward`, backward);
    if (cost !== undefined) checkNumber('chain', `steps[${i}].cost`, cost, { min: 0 });
    if (bytes !== undefined) checkNumber('chain', `steps[${i}].bytes`, bytes, { min: 0 });
  }
}
