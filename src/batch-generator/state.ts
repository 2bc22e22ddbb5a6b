import { crypto } from '../internal/crypto.js';
import { jsonOf, shortened } from '../internal/json.js';
import { checkArray, checkCount, checkNumber, checkObject } from '../internal/validate.js';
import type { BatchGeneratorConfig } from './options.js';

/** Where a `BatchGenerator` stands: plain numbers and texts, ready for JSON. */
export interface BatchGeneratorState {
  /** Number of examples. */
  dataLength: number;
  /** The configuration, which must be that of the generator that loads the state. */
  config: Record<string, unknown>;
  /** The epoch, from 0. */
  epoch: number;
  /** Position in the epoch's order of the next batch. */
  currentIndex: number;
  /** Batches in each earlier epoch, where their number differs from epoch to epoch; else empty. */
  lengths: number[];
  /** The order of the epoch and where its batches start, where no seed tells them. */
  order?: { indices: number[]; starts?: number[] };
}

const CALL = 'loadStateDict';

/** What of a configuration decides on the batches, as JSON would give it back. */
export function fingerprintOf(config: BatchGeneratorConfig): Record<string, unknown> {
  const { sampleWeights, shard, negativeMining, ...others } = config;
  const weights = sampleWeights && crypto().createHash('sha256').update(Float64Array.from(sampleWeights)).digest('hex');
  const parts = {
    ...others,
    noDuplicates: Boolean(others.noDuplicates),
    sampleWeights: weights,
    shard: shard && { rank: shard.rank, worldSize: shard.worldSize, pad: shard.pad ?? 'repeat' },
    negativeMining: negativeMining && {
      strategy: negativeMining.strategy,
      maxSimilarity: negativeMining.maxSimilarity,
      relativeMargin: negativeMining.relativeMargin,
      excludeDuplicates: negativeMining.excludeDuplicates ?? true,
    },
  };
  return JSON.parse(JSON.stringify(parts)) as Record<string, unknown>;
}

/** Reads a state that may come from anywhere; throws before anything is handed out. Only known fields are read. */
export function parseState(
  state: unknown,
  dataLength: number,
  config: Record<string, unknown>,
  needs: { order: boolean; starts: boolean; lengths: boolean; permutation: boolean },
): Omit<BatchGeneratorState, 'dataLength' | 'config'> {
  checkObject(CALL, 'state', state);
  checkCount(CALL, 'state.dataLength', state['dataLength'], 0);
  if (state['dataLength'] !== dataLength) {
    throw new RangeError(`${CALL}: state is of ${state['dataLength']} examples, this generator has ${dataLength}`);
  }
  checkObject(CALL, 'state.config', state['config']);
  for (const option of new Set([...Object.keys(config), ...Object.keys(state['config'])])) {
    const [theirs, ours] = [jsonOf(state['config'][option]), jsonOf(config[option])];
    if (theirs !== ours)
      throw new RangeError(`${CALL}: state has ${option} ${shortened(theirs)}, this generator has ${ours}`);
  }
  const epoch = checkNumber(CALL, 'state.epoch', state['epoch'], {
    integer: true,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
  });
  const lengths = countsIn('state.lengths', state['lengths'], dataLength);
  const count = needs.lengths ? epoch : 0;
  if (lengths.length !== count)
    throw new RangeError(`${CALL}: state.lengths has ${lengths.length} entries, expected ${count}`);
  const currentIndex = checkCount(CALL, 'state.currentIndex', state['currentIndex'], 0);
  const position = { epoch, currentIndex, lengths };
  return needs.order ? { ...position, order: parseOrder(state['order'], dataLength, needs) } : position;
}

function parseOrder(
  order: unknown,
  dataLength: number,
  needs: { starts: boolean; permutation: boolean },
): NonNullable<BatchGeneratorState['order']> {
  checkObject(CALL, 'state.order', order);
  const indices = countsIn('state.order.indices', order['indices'], dataLength - 1);
  if (needs.permutation && (indices.length !== dataLength || new Set(indices).size !== dataLength))
    throw new RangeError(`${CALL}: state.order.indices must hold each example once`);
  if (!needs.starts) return { indices };
  const starts = countsIn('state.order.starts', order['starts'], indices.length);
  const isAscending = starts.every((start, i) => (i === 0 ? start === 0 : start > starts[i - 1]!));
  if (!isAscending || starts.at(-1) !== indices.length)
    throw new RangeError(`${CALL}: state.order.starts must ascend from 0 to ${indices.length}`);
  return { indices, starts };
}

function countsIn(name: string, values: unknown, max?: number): number[] {
  checkArray(CALL, name, values);
  return values.map((value, i) =>
    checkNumber(CALL, `${name}[${i}]`, value, { integer: true, min: 0, ...(max !== undefined && { max }) }),
  );
}
