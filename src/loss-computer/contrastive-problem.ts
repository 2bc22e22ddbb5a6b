import type { ContrastiveProblem } from '../kernels/kernels.js';
import type { ContrastiveOptions } from './contrastive.js';
import { type ContrastiveRows, candidatesOf, type groupsOf, type NegativeMode } from './negatives.js';
import { lossesOf } from './reduction.js';
import type { ContrastiveArgument, routesOf } from './through.js';

/** Checked arguments, and values derived from them. */
export interface Setup {
  given: ContrastiveRows;
  groups: ReturnType<typeof groupsOf>;
  routes: ReturnType<typeof routesOf>;
  /** The arguments whose gradients are in the result. */
  wanted: Record<ContrastiveArgument, boolean>;
  /** The arguments whose gradients are computed. */
  needed: Record<ContrastiveArgument, boolean>;
  negativeMode: NegativeMode;
  temperature: number;
  symmetric: boolean;
  whole: Float64Array;
  options: ContrastiveOptions;
}

/**
 * The problem for the kernels, without wanted gradients. The rows may be outputs of adapters. It is written property by
 * property: spreading objects would take a quarter of the time of a batch of 8.
 */
export function problemOf(setup: Setup, rows: ContrastiveRows): ContrastiveProblem {
  const { given, groups, negativeMode, temperature, symmetric, whole, options } = setup;
  const { candidates, kind, own, groups: ofCandidates } = candidatesOf(rows, given, negativeMode, groups);
  return {
    anchors: rows.anchors,
    positives: rows.positives,
    candidates,
    kind,
    own,
    groups: ofCandidates,
    temperature,
    coefficients: symmetric ? whole.map(coefficient => coefficient / 2) : whole,
    wanted: null,
    losses: lossesOf(options, rows.anchors.length),
  };
}

/** The reverse problem: positives look for their anchors among the anchors of the batch. */
export function reverseOf(problem: ContrastiveProblem, groups: Int32Array | null): ContrastiveProblem {
  const { anchors, positives, temperature, coefficients, wanted, losses } = problem;
  return {
    anchors: positives,
    positives: anchors,
    candidates: anchors,
    kind: 'batch',
    own: null,
    groups: groups && { anchors: groups, candidates: groups },
    temperature,
    coefficients,
    wanted: wanted && {
      anchors: wanted.positives,
      positives: wanted.anchors,
      candidates: wanted.anchors,
      own: false,
    },
    losses: losses && new Float64Array(losses.length),
  };
}
