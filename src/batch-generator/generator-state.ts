import { sha256 } from '#platform/sha256';
import { jsonOf, shortened } from '../internal/json.js';
import { optionNames } from '../internal/option-names.js';
import { checkArray, checkCount, checkNumber, checkObject, inWords } from '../internal/validate.js';
import type { BatchGeneratorConfig } from './options.js';

/** Where a `BatchGenerator` stands, as plain numbers and texts for JSON. */
export interface BatchGeneratorState {
  /** Number of examples. */
  dataLength: number;
  /** The configuration. It must equal that of the generator that loads the state. */
  config: Record<string, unknown>;
  /** The epoch, from 0. */
  epoch: number;
  /** Position of the next batch in the epoch's order. */
  currentIndex: number;
  /** Number of batches in all epochs before this one. Absent in states of version 1.1. */
  stepsBefore?: number;
  /** Number of batches in each earlier epoch, if epochs differ in it. Only in states of version 1.1. */
  lengths?: number[];
  /** A fingerprint of the embeddings of up to 16 examples. A state without it fits any data. */
  fingerprint?: string;
  /** A hash of the order and of where its batches start. Absent in states of version 1.1. */
  orderHash?: number;
  /** The order, if the configuration and the data do not give it again. */
  order?: {
    /** The examples in their order, as indices into the data. */
    indices: number[];
    /** Where each batch starts, then where the last one ends. Absent if a batch starts at every `batchSize`. */
    starts?: number[];
    /** Number of examples when the order was made, and number of batches done, if something was changed after that. */
    changed?: { dataLength: number; batchesDone: number };
  };
}

const CALL = 'BatchGenerator.loadStateDict';

type FingerprintConfig = Omit<BatchGeneratorConfig, 'duplicatesBy'> & { duplicatesBy?: unknown };

/** The part of a configuration that decides the batches, as it is after a round trip through JSON. */
export function configFingerprint(config: FingerprintConfig): Record<string, unknown> {
  const { sampleWeights, shard, negativeMining, duplicatesBy, ...rest } = config;
  // A script may keep other values in the configuration. They may be of any kind, or hold themselves.
  const others = Object.fromEntries(Object.entries(rest).filter(([name]) => isOption(name)));
  const weights = sampleWeights && hexOf(sha256(new Uint8Array(Float64Array.from(sampleWeights).buffer)));
  const parts = {
    ...others,
    noDuplicates: Boolean(others['noDuplicates']),
    // States of version 1.1 have no such option.
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

/** What {@link parseState} returns. */
export interface ParsedState {
  epoch: number;
  currentIndex: number;
  /** Number of batches in all epochs before, if the state tells it. */
  stepsBefore: number | undefined;
  orderHash: number | undefined;
  order: BatchGeneratorState['order'];
}

/**
 * Checks and reads a state that may come from anywhere. Only known fields are read.
 *
 * @param config The fingerprint of the generator's configuration.
 * @param needs Whether the state must have an order, the order must have starts, and it must be a permutation.
 * @throws TypeError or RangeError for a state that is damaged, or of another data length or configuration.
 */
export function parseState(
  state: unknown,
  dataLength: number,
  config: Record<string, unknown>,
  needs: { order: boolean; starts: boolean; permutation: boolean },
): ParsedState {
  checkObject(CALL, 'state', state);
  checkCount(CALL, 'state.dataLength', state['dataLength'], 0);
  if (state['dataLength'] !== dataLength) {
    throw new RangeError(
      `${CALL}: state is of ${inWords(state['dataLength'] as number, 'example')}, this generator has ${dataLength}`,
    );
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
    throw new RangeError(`${CALL}: state.lengths has ${inWords(lengths.length, 'entry')}, expected ${epoch}`);
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

function hexOf(characters: string): string {
  return Array.from(characters, character => character.charCodeAt(0).toString(16).padStart(2, '0')).join('');
}
