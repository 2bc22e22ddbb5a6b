/** One metric of every query. */
export interface MetricColumn {
  name: 'accuracyAt' | 'precisionAt' | 'recallAt' | 'ndcgAt' | 'mrr' | 'map';
  /** Cut-off. Absent if the whole ranking counts. */
  at?: number;
  values: Float64Array;
}

/**
 * The metrics of each query from the ranks of its relevant candidates.
 *
 * @param ranks By query, ascending, from 1, at least one.
 * @param cutOffs Distinct.
 */
export function metricColumns(ranks: readonly Int32Array[], cutOffs: readonly number[]): MetricColumn[] {
  const column = (name: MetricColumn['name'], value: (ranks: Int32Array) => number, at?: number): MetricColumn => ({
    name,
    ...(at !== undefined && { at }),
    values: Float64Array.from(ranks, value),
  });
  return [
    ...cutOffs.flatMap(at => [
      column('accuracyAt', ([best]) => (best! <= at ? 1 : 0), at),
      column('precisionAt', ofQuery => countWithin(ofQuery, at) / at, at),
      column('recallAt', ofQuery => countWithin(ofQuery, at) / ofQuery.length, at),
      column('ndcgAt', ofQuery => ndcg(ofQuery, at), at),
    ]),
    column('mrr', ([best]) => 1 / best!),
    column('map', averagePrecision),
  ];
}

function countWithin(ranks: Int32Array, at: number): number {
  let count = 0;
  while (count < ranks.length && ranks[count]! <= at) count++;
  return count;
}

function ndcg(ranks: Int32Array, at: number): number {
  let gain = 0;
  let ideal = 0;
  for (let i = 0; i < Math.min(at, ranks.length); i++) {
    if (ranks[i]! <= at) gain += 1 / Math.log2(ranks[i]! + 1);
    ideal += 1 / Math.log2(i + 2);
  }
  return gain / ideal;
}

function averagePrecision(ranks: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < ranks.length; i++) sum += (i + 1) / ranks[i]!;
  return sum / ranks.length;
}
