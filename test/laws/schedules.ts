/**
 * The least cost of any schedule of a chain's forwards within a budget. Dijkstra's search goes over all sets of held
 * states. A forward may keep its input or not; any state but the input may be dropped at any time.
 *
 * @param costs Cost of each forward.
 * @param sizes Size of the state that each step takes.
 */
export function leastTotalCost(costs: readonly number[], sizes: readonly number[], budget: number): number {
  const n = costs.length;
  const sizeOf = (held: number): number => sizes.reduce((sum, size, k) => sum + ((held >> k) & 1) * size, 0);
  // A node has the held states as bits and, above them, the next step to run backward through.
  if (sizeOf(1) > budget) return Infinity;
  const start = 1 | ((n - 1) << n);
  const costTo = new Map([[start, 0]]);
  const open = new Set([start]);
  while (open.size > 0) {
    let node = -1;
    for (const each of open) if (node < 0 || costTo.get(each)! < costTo.get(node)!) node = each;
    open.delete(node);
    const cost = costTo.get(node)!;
    const held = node & ((1 << n) - 1);
    const step = node >> n;
    const reach = (nextHeld: number, nextStep: number, nextCost: number): void => {
      const next = nextHeld | (nextStep << n);
      if (sizeOf(nextHeld) > budget || nextCost >= (costTo.get(next) ?? Infinity)) return;
      costTo.set(next, nextCost);
      open.add(next);
    };
    const holds = (k: number): boolean => ((held >> k) & 1) === 1;
    if (holds(step)) {
      if (step === 0) return cost + costs[n - 1]!; // The last forward returns the output, which is not held.
      reach(held & ~(1 << step), step - 1, cost);
      continue;
    }
    for (let k = 0; k < step; k++) {
      if (!holds(k)) continue;
      reach(held | (1 << (k + 1)), step, cost + costs[k]!);
      if (k === 0) continue;
      reach((held & ~(1 << k)) | (1 << (k + 1)), step, cost + costs[k]!);
      reach(held & ~(1 << k), step, cost);
    }
  }
  return Infinity;
}

/**
 * The least cost where a kept state stays until its own step has run backward, by trying each choice of the next kept
 * state.
 */
export function leastPersistentCost(costs: readonly number[], sizes: readonly number[], budget: number): number {
  const known = new Map<string, number>();
  /** Runs backward through steps `end - 1` … `from`, with the state of step `from` held and `room` bytes left. */
  const least = (from: number, end: number, room: number): number => {
    if (end - from === 1) return 0;
    const key = [from, end, room].join();
    let best = known.get(key);
    if (best !== undefined) return best;
    best = Infinity;
    let cost = 0;
    for (let kept = from + 1; kept < end && sizes[kept]! <= room; kept++) {
      cost += costs[kept - 1]!;
      best = Math.min(best, cost + least(kept, end, room - sizes[kept]!) + least(from, kept, room));
    }
    known.set(key, best);
    return best;
  };
  return least(0, costs.length, budget - sizes[0]!) + costs.at(-1)!;
}
