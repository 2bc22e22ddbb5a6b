/** Which part of each epoch's order belongs to this worker. */
export interface Shard {
  /** Number of this worker, from 0. */
  rank: number;
  /** Number of workers, at least 1. */
  worldSize: number;
  /**
   * How the examples are split if their number is no multiple of `worldSize`.
   * - `'repeat'`: all workers have equally many examples. The first ones are repeated.
   * - `'none'`: no example is repeated. Some workers may have one example more than others.
   *
   * With `noDuplicates`, this holds for each step that the workers take together. `'repeat'` then fills a step with
   * examples of other steps, none of which is a duplicate of an example in the step. Where there is no such example, the
   * parts differ by one. If a worker would have a step without an example, the epoch starts with a RangeError.
   *
   * @default 'repeat'
   */
  pad?: 'repeat' | 'none';
}

/** Every `worldSize`-th index from `rank` on, after padding. This is the rule of PyTorch's DistributedSampler. */
export function shardOf(indices: readonly number[], { rank, worldSize, pad = 'repeat' }: Shard): number[] {
  if (indices.length === 0) return [];
  const total = pad === 'repeat' ? Math.ceil(indices.length / worldSize) * worldSize : indices.length;
  const mine: number[] = [];
  for (let i = rank; i < total; i += worldSize) mine.push(indices[i % indices.length]!);
  return mine;
}

/** Number of indices in {@link shardOf}, if there are `count` in all. */
export function shardSize(count: number, { rank, worldSize, pad = 'repeat' }: Shard): number {
  return pad === 'repeat' ? Math.ceil(count / worldSize) : Math.max(0, Math.ceil((count - rank) / worldSize));
}
