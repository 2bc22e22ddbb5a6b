import { checkedCopy } from '../internal/adapters.js';
import { checkCount, wrongType } from '../internal/validate.js';
import { type FloatMatrix, toNestedArrays, zerosLike } from '../kernels/matrix.js';
import type { Rows } from '../types.js';

/** An optimizer's state as plain data, ready for JSON. */
export interface OptimizerState<Name extends string = string, Options = { maxGradNorm?: number }, Moments = unknown> {
  /** The optimizer it belongs to. */
  optimizer: Name;
  /** The learning rate of a `step` without one. */
  lr: number;
  /** The options. The optimizer that loads the state must have the same. */
  options: Options;
  /** The moments of each matrix, by adapter. */
  adapters: Record<string, { loraA: Moments; loraB: Moments }>;
  /** Fingerprints of the weights that the state belongs to, by adapter. A state without them fits any weights. */
  fingerprints?: Record<string, string>;
}

/** What `AdamW.stateDict` returns. */
export type AdamWState = OptimizerState<
  'AdamW',
  { betas: [number, number]; eps: number; weightDecay: number; maxGradNorm?: number },
  { steps: number; first: number[][]; second: number[][] }
>;

/** What `SGD.stateDict` returns. */
export type SGDState = OptimizerState<
  'SGD',
  { momentum: number; weightDecay: number; maxGradNorm?: number },
  { velocity: number[][] | null }
>;

/** What a state holds of one matrix. */
export type SavedMoments<State extends OptimizerState> = State['adapters'][string]['loraA'];

/** How the moments of one matrix start, are saved and are read again. */
export interface MomentsKind<Moments, Saved> {
  start(values: Rows): Moments;
  save(moments: Moments): Saved;
  /** Checks saved moments, which may come from anywhere. */
  parse(call: string, label: string, saved: Record<string, unknown>, values: Rows): Moments;
}

/** Moments of one matrix, and their number of steps. As in PyTorch, a step without gradients does not count. */
export interface AdamWMoments {
  first: FloatMatrix;
  second: FloatMatrix;
  steps: number;
}

export const adamWMoments: MomentsKind<AdamWMoments, SavedMoments<AdamWState>> = {
  start: values => ({ first: zerosLike(values), second: zerosLike(values), steps: 0 }),
  save: ({ first, second, steps }) => ({ steps, first: toNestedArrays(first), second: toNestedArrays(second) }),
  parse: (call, label, { steps, first, second }, values) => ({
    steps: checkCount(call, `${label}.steps`, steps, 0),
    first: checkedCopy(call, `${label}.first`, first, values),
    second: checkedCopy(call, `${label}.second`, second, values, 0),
  }),
};

export interface SGDMoments {
  velocity: FloatMatrix | null;
}

/** The moments of SGD. Without momentum, there is no velocity. */
export function sgdMoments(momentum: number): MomentsKind<SGDMoments, SavedMoments<SGDState>> {
  return {
    start: values => ({ velocity: momentum > 0 ? zerosLike(values) : null }),
    save: ({ velocity }) => ({ velocity: velocity && toNestedArrays(velocity) }),
    parse: (call, label, { velocity }, values) => {
      if (momentum > 0) return { velocity: checkedCopy(call, `${label}.velocity`, velocity, values) };
      if (velocity !== null) throw wrongType(call, `${label}.velocity`, 'null', velocity);
      return { velocity };
    },
  };
}
