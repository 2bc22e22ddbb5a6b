import type { ContrastiveProblem } from '../kernels/kernels.js';
import type { ContrastiveOptions } from './contrastive.js';
import { type ContrastiveRows, candidatesOf, type groupsOf, isOwn, type NegativeMode } from './negatives.js';
import type { ContrastiveArgument, routesOf } from './through.js';

/** Checked arguments, and values derived from them. */
export interface Setup {
  given: ContrastiveRows;
  /** Index of the first anchor's positive. Not 0 where the anchors are a part of a batch. */
  offset: number;
  groups: ReturnType<typeof groupsOf>;
  routes: ReturnType<typeof routesOf>;
  /** The arguments whose gradients are in the result. */
  wanted: Record<ContrastiveArgument, boolean>;
  /** The arguments whose gradients are computed. */
  needed: Record<ContrastiveArgument, boolean>;
  negativeMode: NegativeMode;
  temperature: number;
  /** Of each anchor. */
  coefficients: Float64Array;
  /** Room for the loss of each anchor, if it is wanted. */
  losses: Float64Array | null;
  options: ContrastiveOptions;
}

/**
 * The problem for the kernels, without wanted gradients. The rows may be outputs of adapters. It is written property by
 * property: spreading objects would take a quarter of the time of a batch of 8.
 */
export function problemOf(setup: Setup, rows: ContrastiveRows): ContrastiveProblem {
  const { given, offset, groups, negativeMode, temperature, coefficients, losses } = setup;
  const { candidates, kind, own, groups: ofCandidates } = candidatesOf(rows, given, offset, negativeMode, groups);
  const count = rows.anchors.length;
  return {
    anchors: rows.anchors,
    positives: count === rows.positives.length ? rows.positives : rows.positives.slice(offset, offset + count),
    candidates,
    kind,
    firstOwn: offset,
    own,
    groups: ofCandidates,
    temperature,
    coefficients,
    wanted: null,
    losses,
  };
}

/** A part of the anchors, as a problem of its own. */
export function partOf(setup: Setup, first: number, end: number): Setup {
  const { given, offset, groups, negativeMode, coefficients, losses } = setup;
  const perAnchor = given.negatives && isOwn(negativeMode) ? given.negatives.length / given.anchors.length : 0;
  const [firstOwn, endOwn] = [first * perAnchor, end * perAnchor];
  const part = {
    ...setup,
    given: {
      ...given,
      anchors: given.anchors.slice(first, end),
      negatives: perAnchor > 0 ? given.negatives!.slice(firstOwn, endOwn) : given.negatives,
    },
    groups: groups && {
      anchors: groups.anchors,
      negatives: perAnchor > 0 && groups.negatives ? groups.negatives.subarray(firstOwn, endOwn) : groups.negatives,
    },
    offset: offset + first,
    coefficients: coefficients.subarray(first, end),
    losses: losses?.subarray(first, end) ?? null,
  };
  if (isInBatch(setup)) return part;
  // The positives of other anchors do not count.
  part.given.positives = given.positives.slice(offset + first, offset + end);
  if (part.groups) part.groups.anchors = part.groups.anchors.subarray(offset + first, offset + end);
  return { ...part, offset: 0 };
}

/** Whether the positives of other anchors count as negatives. */
export function isInBatch({ given, negativeMode }: Pick<Setup, 'given' | 'negativeMode'>): boolean {
  return !given.negatives || negativeMode.startsWith('inBatch');
}

/** The reverse problem: positives look for their anchors among the anchors of the batch. */
export function reverseOf(setup: Setup): Setup {
  const { given, groups, routes, wanted, needed, losses } = setup;
  const swapped = ({ anchors, positives }: Setup['wanted']): Setup['wanted'] => {
    return { anchors: positives, positives: anchors, negatives: false };
  };
  return {
    ...setup,
    given: { anchors: given.positives, positives: given.anchors, negatives: null },
    groups: groups && { anchors: groups.anchors, negatives: null },
    routes: routes.map(route => ({ ...route, parts: route.parts.flatMap(part => REVERSE[part]) })),
    wanted: swapped(wanted),
    needed: swapped(needed),
    losses: losses && new Float64Array(losses.length),
  };
}

const REVERSE: Record<ContrastiveArgument, ContrastiveArgument[]> = {
  anchors: ['positives'],
  positives: ['anchors'],
  negatives: [],
};
