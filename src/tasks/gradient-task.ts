import {
  type Adapter,
  type ContrastiveOptions,
  type GroupResult,
  LossComputer,
  packGradients,
  packWeights,
  type Rows,
  unpackWeights,
  writeTensors,
} from '../index.js';
import { inWords } from '../internal/validate/messages.js';
import { checkCount, checkObject } from '../internal/validate/option-checks.js';
import type { Task } from '../tasks.js';
import {
  type ContrastiveBatch,
  type ContrastiveTaskOptions,
  checkBatch,
  checkShapes,
  checksumOf,
  checkTask,
  floatsOf,
  lossOptionsOf,
} from './contrastive-batch.js';

export interface GradientTaskOptions extends ContrastiveTaskOptions {
  /** The whole batch of a step, equal on all workers: `BatchGenerator.at(step)` with a seed gives one. */
  batch: (step: number) => ContrastiveBatch | Promise<ContrastiveBatch>;
}

/** What `DataParallel` asks for: the gradients of some anchors of a step's batch, group by group. */
interface Payload {
  step: number;
  /** Rows from `from` to `to`, as far as the batch has them. */
  from: number;
  to: number;
}

/**
 * The task of `DataParallel`: contrastive loss and adapter gradients for a part of a step's batch. The module of the task
 * exports it as default.
 *
 * @throws TypeError or RangeError for wrong options.
 */
export function gradientTask(options: GradientTaskOptions): Task<unknown, Uint8Array> {
  const call = 'gradientTask';
  checkTask(call, options, ['batch']);
  const { adapters, through, symmetric = false, batch: batchOf } = options;
  // Jobs of one step share the batch.
  let last: { step: number; batch: ContrastiveBatch; checksum: number } | undefined;

  return async (payload, { blobs }) => {
    const { step, from, to } = checked(call, adapters, payload);
    if (last?.step !== step) {
      const batch = await batchOf(step);
      checkBatch(call, `batch(${step})`, batch);
      last = { step, batch, checksum: checksumOf(options, batch) };
    }
    const { batch, checksum } = last;
    const { anchors, positives } = batch;
    unpackWeights(adapters, floatsOf(call, 'weights', blobs));
    const end = Math.min(to, anchors.length);
    const groupsOf = (rows: Rows, others: Rows, negatives: Rows | null, loss: ContrastiveOptions): GroupResult[] => {
      if (from >= end) return [];
      return LossComputer.contrastive(rows.slice(from, end), others, negatives, {
        ...loss,
        offset: from,
        perGroup: true,
      }).perGroup!;
    };
    const part = partOf(options, batch, from, end);
    const directions = [groupsOf(anchors, positives, part.negatives ?? null, lossOptionsOf(options, part))];
    if (symmetric) {
      const { negatives: _, negativeIds: __, ...pairs } = batch;
      const { negativeMode: ___, ...reverse } = lossOptionsOf(options, pairs);
      directions.push(groupsOf(positives, anchors, null, { ...reverse, through: swapped(through) }));
    }
    const groups = directions.flat();
    const shape = [directions.length, directions[0]!.length];
    const size = packWeights(adapters).length;
    const gradients = new Float32Array(size * groups.length);
    groups.forEach(({ adapterGradients }, i) => {
      gradients.set(packGradients(adapters, adapterGradients!), i * size);
    });
    return writeTensors(
      {
        gradients: { shape: [...shape, size], data: gradients },
        losses: { shape, data: Float64Array.from(groups, ({ loss }) => loss) },
        temperatures: { shape, data: Float64Array.from(groups, group => group.temperatureGradient!) },
      },
      { rows: String(anchors.length), checksum: String(checksum) },
    );
  };
}

function checked(call: string, adapters: ReadonlyMap<string, Adapter>, payload: unknown): Payload {
  checkObject(call, 'payload', payload);
  checkShapes(call, adapters, payload);
  return {
    step: checkCount(call, 'payload.step', payload.step, 0),
    from: checkCount(call, 'payload.from', payload.from, 0),
    to: checkCount(call, 'payload.to', payload.to, 0),
  };
}

/** The batch with the negatives of these anchors. Negatives that are not own ones are those of all anchors. */
function partOf(
  { negativeMode }: ContrastiveTaskOptions,
  batch: ContrastiveBatch,
  first: number,
  end: number,
): ContrastiveBatch {
  const { anchors, negatives, negativeIds } = batch;
  if (!negatives || !negativeMode?.endsWith('own')) return batch;
  const perAnchor = negatives.length / anchors.length;
  if (!Number.isInteger(perAnchor))
    throw new RangeError(
      `gradientTask: the batch has ${inWords(negatives.length, 'negative')} and ${inWords(anchors.length, 'anchor')}; own negatives are k per anchor`,
    );
  const cut = <Value>(values: ArrayLike<Value>): Value[] =>
    Array.from(values).slice(first * perAnchor, end * perAnchor);
  return {
    ...batch,
    negatives: cut(negatives),
    ...(negativeIds !== undefined && { negativeIds: cut<string | number>(negativeIds) }),
  };
}

function swapped({ anchors, positives }: ContrastiveTaskOptions['through']): ContrastiveTaskOptions['through'] {
  return {
    ...(positives !== undefined && { anchors: positives }),
    ...(anchors !== undefined && { positives: anchors }),
  };
}
