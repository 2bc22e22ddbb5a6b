import { withDefaults } from '../internal/options.js';
import { checkCount, checkNumber, checkOneOf } from '../internal/validate.js';

/** How `chain` trades time for memory. All four strategies give the same gradients, bit for bit. */
export type CheckpointStrategy = 'store-all' | 'segments' | 'binomial' | 'budget';

/** Options of `chain`. Those of a call take precedence over those of the constructor. */
export interface ChainOptions {
  /**
   * Which states are kept.
   * - `'store-all'`: all of them. Nothing is recomputed.
   * - `'segments'`: the first state of each of `checkpointSegments` segments, and all states of one segment at a time.
   *   The sizes of segments differ by at most one step.
   * - `'binomial'`: `slots` states, and the one at work. No schedule runs fewer forwards (Griewank and Walther 2000,
   *   "Revolve"). For steps of equal cost and size.
   * - `'budget'`: the states that make the total `cost` of all forwards smallest within `memoryBudget`. All schedules
   *   are considered for up to 24 steps, and for steps of equal cost and size. Otherwise, only schedules that keep a
   *   state until its step has run backward are considered. Planning takes about 1 s for 100 steps of random costs and
   *   sizes. It takes 6 s for 200 steps, whose plan costs about 2 % more than the best one. The last plan is remembered.
   *
   * @default 'segments'
   */
  strategy?: CheckpointStrategy;
  /**
   * Number of segments of `'segments'`, at least 1. `estimateMemorySavings` assumes it too.
   *
   * @default 4
   */
  checkpointSegments?: number;
  /** Number of states that `'binomial'` keeps, at least 1. The input is one of them. Required for `'binomial'`. */
  slots?: number;
  /**
   * Most bytes of states that `'budget'` holds between two calls of steps, at least 0. The input's bytes count. Required
   * for `'budget'`.
   */
  memoryBudget?: number;
  /**
   * How recomputed states are compared with those of the first pass, and kept states with what they were.
   * - `'none'`: not at all, except that a change of the chain's input is always found.
   * - `'shape'`: by kinds, lengths and keys.
   * - `'value'`: also by a hash of every number, which takes about 3 ns per float32. Only this finds a step that writes to
   *   its input.
   *
   * @default 'none'
   */
  determinism?: 'none' | 'shape' | 'value';
}

export interface GradientCheckpointerOptions extends ChainOptions {
  /**
   * Whether memory is saved. If not, `checkpoint` only calls the function, and `chain` keeps every state.
   *
   * @default true
   */
  enabled?: boolean;
  /**
   * Most calls whose output is kept, at least 0. The outputs of later calls are recomputed.
   *
   * @default 10
   */
  maxStoredActivations?: number;
}

/** The configuration with its defaults filled in. */
export type GradientCheckpointerConfig = GradientCheckpointerOptions &
  Required<Pick<GradientCheckpointerOptions, 'enabled' | 'checkpointSegments' | 'maxStoredActivations'>>;

const DEFAULTS = { enabled: true, checkpointSegments: 4, maxStoredActivations: 10 };

/** The configuration that the constructor's options give. */
export function parseOptions(options: GradientCheckpointerOptions): GradientCheckpointerConfig {
  const call = 'GradientCheckpointer';
  const config = withDefaults(call, DEFAULTS, options);
  checkChainOptions(call, config);
  const { maxStoredActivations } = config;
  checkNumber(call, 'maxStoredActivations', maxStoredActivations, { integer: true, min: 0, infinity: true });
  return config;
}

/** The options of one chain, where the configuration fills in what is not given. */
export function parseChainOptions(config: GradientCheckpointerConfig, options: ChainOptions | undefined): ChainOptions {
  const call = 'GradientCheckpointer.chain';
  const parsed = withDefaults(call, config, options);
  checkChainOptions(call, parsed);
  return config.enabled ? parsed : { ...parsed, strategy: 'store-all' };
}

/** Checks the options that are given. What a strategy requires is checked when a chain is made. */
function checkChainOptions(call: string, options: ChainOptions): void {
  const { strategy, checkpointSegments, slots, memoryBudget, determinism } = options;
  checkCount(call, 'checkpointSegments', checkpointSegments);
  if (strategy !== undefined) checkOneOf(call, 'strategy', strategy, ['store-all', 'segments', 'binomial', 'budget']);
  if (slots !== undefined) checkCount(call, 'slots', slots);
  if (memoryBudget !== undefined) checkNumber(call, 'memoryBudget', memoryBudget, { min: 0, infinity: true });
  if (determinism !== undefined) checkOneOf(call, 'determinism', determinism, ['none', 'shape', 'value']);
}
