import { checkCount, checkNumber, checkOneOf } from '../internal/validate.js';

/** How `chain` trades memory for time. All four give the same gradients, bit for bit. */
export type CheckpointStrategy = 'store-all' | 'segments' | 'binomial' | 'budget';

/** Settings of `chain`; those of a call go before those of the constructor. */
export interface ChainOptions {
  /**
   * Which states are kept. Default `'segments'`.
   * - `'store-all'`: every one, so that nothing is recomputed.
   * - `'segments'`: the first of each of `checkpointSegments` segments, whose sizes differ by at most one, and those of
   *   one segment at a time.
   * - `'binomial'`: `slots` states and the one at work; no schedule runs fewer forwards (Griewank and Walther 2000,
   *   "Revolve"). For steps of equal cost and size.
   * - `'budget'`: those that make the total `cost` of all forwards least within `memoryBudget`. Of all schedules for up
   *   to 24 steps and for steps that are alike; else of those that keep a state until its own step has gone back. To
   *   plan 100 steps of random costs and sizes takes about 1 s, 200 steps 6 s, at 2 % more than the least cost. The
   *   last plan is remembered.
   */
  strategy?: CheckpointStrategy;
  /** Number of segments of `'segments'`; also what `estimateMemorySavings` assumes. Default 4. */
  checkpointSegments?: number;
  /** States that `'binomial'` keeps, the input among them. Needed for it. */
  slots?: number;
  /** Most bytes of states that `'budget'` holds between two calls of steps, the input's among them. Needed for it. */
  memoryBudget?: number;
  /**
   * Compares recomputed states with those of the first pass, and those that were kept with what they were: `'shape'` by
   * kinds, lengths and keys, `'value'` by a hash of every number too, which takes about 3 ns a float32. Only
   * `'value'` finds a step that writes to its input, which none may; a change of the chain's own input is always found.
   * Default `'none'`.
   */
  determinism?: 'none' | 'shape' | 'value';
}

/** Checks the options that are given; whether a strategy has what it needs shows when a chain is made. */
export function checkChainOptions(call: string, options: ChainOptions): void {
  const { strategy, checkpointSegments, slots, memoryBudget, determinism } = options;
  checkCount(call, 'checkpointSegments', checkpointSegments);
  if (strategy !== undefined) checkOneOf(call, 'strategy', strategy, ['store-all', 'segments', 'binomial', 'budget']);
  if (slots !== undefined) checkCount(call, 'slots', slots);
  if (memoryBudget !== undefined) checkNumber(call, 'memoryBudget', memoryBudget, { min: 0, infinity: true });
  if (determinism !== undefined) checkOneOf(call, 'determinism', determinism, ['none', 'shape', 'value']);
}
