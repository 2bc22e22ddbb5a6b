import { crypto } from '../internal/crypto.js';
import { jsonOf, shortened } from '../internal/json.js';
import { optionNames } from '../internal/option-names.js';
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
  /** Batches in all epochs before this one; absent from states of version 1.1. */
  stepsBefore?: number;
  /** Batches in each earlier epoch, where their number differs from epoch to epoch; only in states of version 1.1. */
  lengths?: number[];
  /** What tells the data by the embeddings of up to 16 examples. Without it a state is taken for any data. */
  fingerprint?: string;
  /** A hash of the order and where its batches start; absent from states of version 1.1. */
  orderHash?: number;
  /** The order, where the configuration and the data do not tell it. */
  order?: {
    indices: number[];
    starts?: number[];
    /** Number of examples when the order was made, and batches done, where a change after that makes them differ. */
    changed?: { dataLength: number; batchesDone: number };
  };
}

const CALL = 'loadStateDict';

type FingerprintConfig = Omit<BatchGeneratorConfig, 'duplicatesBy'> & { duplicatesBy?: unknown };

/** What of a configuration decides on the batches, as JSON would give it back. */
export function fingerprintOf(config: FingerprintConfig): Record<string, unknown> {
  const { sampleWeights, shard, negativeMining, duplicatesBy, ...rest } = config;
  // What a script keeps there of its own may hold anything, itself too.
  const others = Object.fromEntries(Object.entries(rest).filter(([name]) => isOption(name)));
  const weights = sampleWeights && crypto().createHash('sha256').update(Float64Array.from(sampleWeights)).digest('hex');
  const parts = {
    ...others,
    noDuplicates: Boolean(others['noDuplicates']),
    // States of version 1.1 have none.
    duplicatesBy:
      typeof duplicatesBy === 'function' ? 'a function' : duplicatesBy === 'exact' ? undefined : duplicatesBy,
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

function isOption(name: string): boolean {
  return optionNames('BatchGenerator').has(name);
}

/** What {@link parseState} read. */
export interface ParsedState {
  epoch: number;
  currentIndex: number;
  /** Batches in all epochs before, where the state tells. */
  stepsBefore: number | undefined;
  orderHash: number | undefined;
  order: BatchGeneratorState['order'];
}

/** Reads a state that may come from anywhere; throws before anything is handed out. Only known fields are read. */
export function parseState(
  state: unknown,
  dataLength: number,
  config: Record<string, unknown>,
  needs: { order: boolean; starts: boolean; permutation: boolean },
): ParsedState {
  checkObject(CALL, 'state', state);
  checkCount(CALL, 'state.dataLength', state['dataLength'], 0);
  if (state['dataLength'] !== dataLength) {
    throw new RangeError(`${CALL}: state is of ${state['dataLength']} examples, this generator has ${dataLength}`);
  }
  checkObject(CALL, 'state.config', state['config']);
  for (const option of new Set([...Object.keys(config), ...Object.keys(state['config'])])) {
    if (!isOption(option)) continue;
    const [theirs, ours] = [jsonOf(state['config'][option]), jsonOf(config[option])];
    if (theirs !== ours)
      throw new RangeError(`${CALL}: state has ${option} ${shortened(theirs)}, this generator has ${ours}`);
  }
  const epoch = checkWhole('state.epoch', state['epoch']);
  const stepsBefore = parseSteps(state, epoch, dataLength);
  const currentIndex = checkCount(CALL, 'state.currentIndex', state['currentIndex'], 0);
  const orderHash = state['orderHash'] === undefined ? undefined : checkWhole('state.orderHash', state['orderHash']);
  const isTold = orderHash !== undefined || state['order'] !== undefined || currentIndex === 0;
  if (config['noDuplicates'] === true && !isTold)
    throw new RangeError(`${CALL}: state is of version 1.1, whose noDuplicates made other batches, in mid-epoch`);
  const isNeeded = needs.order || state['order'] !== undefined;
  const order = isNeeded ? parseOrder(state['order'], dataLength, needs) : undefined;
  return { epoch, currentIndex, stepsBefore, orderHash, order };
}

function parseSteps(state: Record<string, unknown>, epoch: number, dataLength: number): number | undefined {
  if (state['stepsBefore'] !== undefined) return checkWhole('state.stepsBefore', state['stepsBefore']);
  const lengths = countsIn('state.lengths', state['lengths'], dataLength);
  if (lengths.length === 0) return undefined;
  if (lengths.length !== epoch)
    throw new RangeError(`${CALL}: state.lengths has ${lengths.length} entries, expected ${epoch}`);
  return lengths.reduce((sum, length) => sum + length, 0);
}

function parseOrder(
  order: unknown,
  dataLength: number,
  needs: { starts: boolean; permutation: boolean },
): NonNullable<BatchGeneratorState['order']> {
  checkObject(CALL, 'state.order', order);
  const changed = order['changed'] === undefined ? undefined : parseChange(order['changed']);
  const indices = countsIn('state.order.indices', order['indices'], (changed?.dataLength ?? dataLength) - 1);
  const isPermutation = indices.length === dataLength && new Set(indices).size === dataLength;
  if (needs.permutation && !changed && !isPermutation)
    throw new RangeError(`${CALL}: state.order.indices must hold each example once`);
  const parsed = { indices, ...(changed && { changed }) };
  if (changed ? order['starts'] === undefined : !needs.starts) return parsed;
  const starts = countsIn('state.order.starts', order['starts'], indices.length);
  const isAscending = starts.every((start, i) => (i === 0 ? start === 0 : start > starts[i - 1]!));
  if (!isAscending || starts.at(-1) !== indices.length)
    throw new RangeError(`${CALL}: state.order.starts must ascend from 0 to ${indices.length}`);
  return { ...parsed, starts };
}

function parseChange(changed: unknown): { dataLength: number; batchesDone: number } {
  checkObject(CALL, 'state.order.changed', changed);
  return {
    dataLength: checkWhole('state.order.changed.dataLength', changed['dataLength']),
    batchesDone: checkWhole('state.order.changed.batchesDone', changed['batchesDone']),
  };
}

function checkWhole(name: string, value: unknown): number {
  return checkNumber(CALL, name, value, { integer: true, min: 0, max: Number.MAX_SAFE_INTEGER });
}

function countsIn(name: string, values: unknown, max: number): number[] {
  checkArray(CALL, name, values);
  return values.map((value, i) => checkNumber(CALL, `${name}[${i}]`, value, { integer: true, min: 0, max }));
}
