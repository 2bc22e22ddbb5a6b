import { type Frontier, FrontierBuilder } from './frontier.js';
import { binomialPlan, type Plan, storeAll } from './plans.js';

/**
 * Up to this number of steps, every schedule is considered. That takes time in the fourth power of the steps, and gains
 * 0.1 % at 24 steps.
 */
const EXHAUSTIVE_STEPS = 24;

/**
 * Limit on the points of a frontier times the square of the steps. With it, planning takes about 1 s for 100 steps of
 * random costs and sizes, and 6 s for 200 steps. It makes their plans 0.03 % and about 2 % more costly. Plans of 50 steps
 * lose nothing.
 */
const POINTS_OF_ALL = 2_560_000;

/**
 * The plan of smallest total cost within a budget, by dynamic programming.
 *
 * F(w, j, e) is the cost of running steps e - 1 … j backward while state w is held. If j > w, state w may be replaced by
 * the next one. F is the smallest of these cases:
 * - w = e - 1: 0. State w is the state that the only step takes.
 * - Replace state w by the next one (j > w): the cost of step w, then F(w + 1, j, e).
 * - Keep state w and hold the next state above it, for the steps from k > j on: the cost of step w, then F(w + 1, k, e)
 *   in the memory beside state w, then F(w, j, k).
 * Above {@link EXHAUSTIVE_STEPS} steps, a state is kept (third case) only until its step has run backward (j = w).
 *
 * Takes time in the third power of the steps, and none where all costs and all sizes are equal: Revolve is optimal there.
 *
 * @param costs Cost of each step's forward.
 * @param bytes Bytes of the state that each step takes.
 * @param budget Bytes, at least {@link leastBudget}.
 */
export function budgetPlan(costs: readonly number[], bytes: readonly number[], budget: number): Plan {
  const steps = costs.length;
  if (steps < 2) return storeAll;
  const isUniform = costs.every(cost => cost === costs[0]) && bytes.every(size => size === bytes[0]);
  if (isUniform) return bytes[0] === 0 ? storeAll : binomialPlan(Math.min(steps, Math.floor(budget / bytes[0]!) - 1));

  const isExhaustive = steps <= EXHAUSTIVE_STEPS;
  const mostPoints = Math.max(16, Math.floor(POINTS_OF_ALL / steps ** 2));
  const known = new Map<number, Frontier>();
  const key = (w: number, j: number, end: number): number => (end * steps + w) * steps + j;
  const at = (w: number, j: number, end: number): Frontier => known.get(key(w, j, end))!;
  const best = new FrontierBuilder(budget);
  for (let end = 1; end <= steps; end++) {
    known.set(key(end - 1, end - 1, end), Float64Array.of(bytes[end - 1]!, 0, 0));
    for (let w = end - 2; w >= 0; w--) {
      const size = bytes[w]!;
      for (let j = w; j < (isExhaustive ? end : w + 1); j++) {
        best.clear();
        if (j > w) best.addMoved(at(w + 1, j, end), size, costs[w]!);
        let cost = costs[w]!;
        for (let k = j + 1; k < end; k++) {
          const above = isExhaustive ? at(w + 1, k, end) : at(k, k, end);
          best.addParts({ above, size, beside: at(w, j, k), cost, decision: k });
          if (isExhaustive) continue; // The cost of reaching state k is part of `above`.
          // The next state replaces state k. It fits, because steps k … w run backward beside state w later.
          cost += costs[k]!;
        }
        known.set(key(w, j, end), best.build(mostPoints));
      }
    }
  }

  return (frames, end) => {
    const { index, until } = frames[frames.length - 1]!;
    const frontier = known.get(key(index, until, end));
    if (!frontier) return 0;
    let room = budget;
    for (let i = 0; i < frames.length - 1; i++) room -= bytes[frames[i]!.index]!;
    let decision = 0;
    for (let i = 0; i < frontier.length && frontier[i]! <= room; i += 3) decision = frontier[i + 2]!;
    return decision;
  };
}

/** A {@link budgetPlan} that remembers its last plan, because training asks for the same plan in every step. */
export function budgetPlanner(): typeof budgetPlan {
  let last: { key: string; plan: Plan } | undefined;
  return (costs, bytes, budget) => {
    const key = `${budget}:${costs}:${bytes}`;
    if (last?.key !== key) last = { key, plan: budgetPlan(costs, bytes, budget) };
    return last.plan;
  };
}

/** The smallest budget that works: the input and the largest other state, held together. */
export function leastBudget(bytes: readonly number[]): number {
  return bytes[0]! + bytes.slice(1).reduce((most, size) => Math.max(most, size), 0);
}
