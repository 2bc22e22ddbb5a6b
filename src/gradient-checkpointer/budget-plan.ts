import { type Frontier, FrontierBuilder } from './frontier.js';
import { binomialPlan, type Plan, storeAll } from './plans.js';

/**
 * Up to so many steps every schedule is considered. Beyond, that would take the fourth power of the steps; it gains 0.1
 * % at 24.
 */
const EXHAUSTIVE_STEPS = 24;

/**
 * Points of a frontier times the square of the steps, so that planning takes about 1 s for 100 steps of random costs
 * and sizes and 6 s for 200. Their plans lose 0.03 % and about 2 % by it, those of 50 steps nothing.
 */
const POINTS_OF_ALL = 2_560_000;

/**
 * The plan of least total cost within a budget, by dynamic programming.
 *
 * F(w, j, e) is what it costs that steps e - 1 … j go back when state w is held and, unless j = w, may move on:
 * - 0 for w = e - 1, where state w is what the only step needs;
 * - move on (j > w): cost of step w, then F(w + 1, j, e);
 * - keep w and put the next state above it, for the steps from k > j on: cost of step w, F(w + 1, k, e) in what state w
 *   leaves, then F(w, j, k).
 * Above {@link EXHAUSTIVE_STEPS} steps a state is kept (third case) only until its own step has gone back (j = w).
 *
 * Takes the third power of the steps; where all costs and all sizes are equal none, as Revolve is optimal.
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
          if (isExhaustive) continue; // `above` has moved on by itself.
          // State k moves on in turn; there is room, as steps k … w go back beside state w later.
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

/** {@link budgetPlan} that remembers the last plan, as a training asks for the same one again and again. */
export function budgetPlanner(): typeof budgetPlan {
  let last: { key: string; plan: Plan } | undefined;
  return (costs, bytes, budget) => {
    const key = `${budget}:${costs}:${bytes}`;
    if (last?.key !== key) last = { key, plan: budgetPlan(costs, bytes, budget) };
    return last.plan;
  };
}

/** The input and any one other state must be held together, and that is enough. */
export function leastBudget(bytes: readonly number[]): number {
  return bytes[0]! + bytes.slice(1).reduce((most, size) => Math.max(most, size), 0);
}
