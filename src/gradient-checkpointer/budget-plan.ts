import { binomialPlan, type Plan, storeAll } from './plans.js';

/** Up to so many steps every schedule is considered: 0.3 s. Beyond, that would take the fourth power of the steps. */
const EXHAUSTIVE_STEPS = 40;

/** Most points of a frontier. Beyond, some in the middle go, which leaves the plan within memory but maybe not the cheapest. */
const MOST_POINTS = 64;

/**
 * What memory buys: triples (bytes needed, cost of the forwards, decision), from the least memory and the highest cost to the
 * most memory and the lowest cost. The decision is a {@link Plan}'s.
 */
type Frontier = readonly number[];

/**
 * The plan of least total cost within a budget, by dynamic programming.
 *
 * F(w, j, e) is what it costs that steps e - 1 … j go back when state w is held and, unless j = w, may move on:
 * - 0 for w = e - 1, where state w is what the only step needs;
 * - move on (j > w): cost of step w, then F(w + 1, j, e);
 * - keep w and put the next state above it, for the steps from k > j on: cost of step w, F(w + 1, k, e) in what state w leaves,
 *   then F(w, j, k).
 * Above {@link EXHAUSTIVE_STEPS} steps a state is kept (third case) only until its own step has gone back (j = w).
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
  const known = new Map<number, Frontier>();
  const key = (w: number, j: number, end: number): number => (end * steps + w) * steps + j;
  for (let end = 1; end <= steps; end++) {
    // row[j] is F(w + 1, j, end), then F(w, j, end).
    const row = new Array<Frontier>(end);
    row[end - 1] = [bytes[end - 1]!, 0, 0];
    known.set(key(end - 1, end - 1, end), row[end - 1]!);
    for (let w = end - 2; w >= 0; w--) {
      for (let j = w; j < end; j++) {
        let best = j > w ? moved(row[j]!, bytes[w]!, costs[w]!) : [];
        for (let k = j + 1; (isExhaustive || j === w) && k < end; k++) {
          best = cheapest(best, kept(row[k]!, known.get(key(w, j, k))!, bytes[w]!, costs[w]!, k, budget));
        }
        row[j] = thinned(best);
        if (isExhaustive || j === w) known.set(key(w, j, end), row[j]);
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

/** What remains when the state moves on, which needs room for the state itself first. */
function moved(frontier: Frontier, size: number, cost: number): Frontier {
  const result: number[] = [];
  for (let i = 0; i < frontier.length; i += 3) {
    addPoint(result, Math.max(frontier[i]!, size), frontier[i + 1]! + cost, 0);
  }
  return result;
}

/** The sum of two frontiers, of which the first has `size` less memory than the second, as far as the budget goes. */
function kept(above: Frontier, beside: Frontier, size: number, cost: number, until: number, budget: number): Frontier {
  const result: number[] = [];
  let [a, b] = [0, 0];
  while (a < above.length && b < beside.length) {
    const need = Math.max(above[a]! + size, beside[b]!);
    if (need > budget) break;
    addPoint(result, need, cost + above[a + 1]! + beside[b + 1]!, until);
    const nextA = a + 3 < above.length ? above[a + 3]! + size : Infinity;
    const nextB = b + 3 < beside.length ? beside[b + 3]! : Infinity;
    if (nextA <= nextB) a += 3;
    else b += 3;
  }
  return result;
}

/** The lower envelope of two frontiers. */
function cheapest(a: Frontier, b: Frontier): Frontier {
  const result: number[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const isFirst = j >= b.length || (i < a.length && a[i]! <= b[j]!);
    const from = isFirst ? a : b;
    const at = isFirst ? i : j;
    if (isFirst) i += 3;
    else j += 3;
    addPoint(result, from[at]!, from[at + 1]!, from[at + 2]!);
  }
  return result;
}

/** Adds a point that needs no less than those before it, where it is cheaper. */
function addPoint(points: number[], need: number, cost: number, decision: number): void {
  const last = points.length - 3;
  if (last >= 0 && cost >= points[last + 1]!) return;
  if (last >= 0 && points[last] === need) points.length = last;
  points.push(need, cost, decision);
}

function thinned(frontier: Frontier): Frontier {
  const points = frontier.length / 3;
  if (points <= MOST_POINTS) return frontier;
  return Array.from({ length: MOST_POINTS }, (_, i) => {
    const point = 3 * Math.round((i * (points - 1)) / (MOST_POINTS - 1));
    return frontier.slice(point, point + 3);
  }).flat();
}
