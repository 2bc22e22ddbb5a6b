import { LossComputer, packGradients, packWeights, type Rows, unpackWeights, writeTensors } from '../index.js';
import { inWords } from '../internal/validate/messages.js';
import { checkCount, checkObject } from '../internal/validate/option-checks.js';
import type { Task } from '../tasks.js';
import {
  type ContrastiveBatch,
  type ContrastiveTaskOptions,
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
  /** Anchors per group. */
  group: number;
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
  // Chunks of one step come one after the other, and so share the batch.
  let last: { step: number; batch: ContrastiveBatch; checksum: number } | undefined;

  return async (payload, { blobs }) => {
    const { step, from, to, group } = checked(call, payload);
    if (last?.step !== step) {
      const batch = await batchOf(step);
      checkObject(call, `batch(${step})`, batch);
      last = { step, batch, checksum: checksumOf(batch) };
    }
    const { batch, checksum } = last;
    const { anchors, positives } = batch;
    unpackWeights(adapters, floatsOf(call, 'weights', blobs.weights));
    const losses: number[] = [];
    const temperatures: number[] = [];
    const gradients: Float32Array[] = [];
    for (let first = from; first < Math.min(to, anchors.length); first += group) {
      const end = Math.min(first + group, to, anchors.length);
      const forward = lossOptionsOf(options, batch);
      const add = (rows: Rows, others: Rows, negatives: Rows | null, lossOptions: typeof forward): void => {
        const part = LossComputer.contrastive(rows.slice(first, end), others, negatives, {
          ...lossOptions,
          offset: first,
        });
        losses.push(part.loss);
        temperatures.push(part.temperatureGradient!);
        gradients.push(packGradients(adapters, part.adapterGradients!));
      };
      add(anchors, positives, negativesOf(options, batch, first, end), ownIdsOf(options, forward, batch, first, end));
      if (!symmetric) continue;
      const { negativeIds: _, negativeMode: __, ...reverse } = forward;
      add(positives, anchors, null, { ...reverse, through: swapped(through) });
    }
    const size = packWeights(adapters).length;
    const flat = new Float32Array(size * gradients.length);
    gradients.forEach((part, i) => {
      flat.set(part, i * size);
    });
    return writeTensors(
      {
        gradients: { shape: [gradients.length, size], data: flat },
        losses: { shape: [losses.length], data: Float64Array.from(losses) },
        temperatures: { shape: [temperatures.length], data: Float64Array.from(temperatures) },
      },
      { rows: String(anchors.length), checksum: String(checksum), symmetric: String(symmetric) },
    );
  };
}

function checked(call: string, payload: unknown): Payload {
  checkObject(call, 'payload', payload);
  return {
    step: checkCount(call, 'payload.step', payload.step, 0),
    from: checkCount(call, 'payload.from', payload.from, 0),
    to: checkCount(call, 'payload.to', payload.to, 0),
    group: checkCount(call, 'payload.group', payload.group),
  };
}

/** Own negatives belong to anchors. All others are those of the batch. */
function negativesOf(
  { negativeMode }: ContrastiveTaskOptions,
  { anchors, negatives = null }: ContrastiveBatch,
  first: number,
  end: number,
): Rows | null {
  if (!negatives || !negativeMode?.endsWith('own')) return negatives;
  return negatives.slice(...ownRange(anchors, negatives, first, end));
}

function ownIdsOf<Options extends object>(
  { negativeMode }: ContrastiveTaskOptions,
  options: Options,
  { anchors, negatives, negativeIds }: ContrastiveBatch,
  first: number,
  end: number,
): Options {
  if (!negatives || !negativeIds || !negativeMode?.endsWith('own')) return options;
  const ids = Array.from(negativeIds as ArrayLike<string | number>);
  return { ...options, negativeIds: ids.slice(...ownRange(anchors, negatives, first, end)) };
}

function ownRange(anchors: Rows, negatives: Rows, first: number, end: number): [number, number] {
  const perAnchor = negatives.length / anchors.length;
  if (!Number.isInteger(perAnchor))
    throw new RangeError(
      `gradientTask: the batch has ${inWords(negatives.length, 'negative')} and ${inWords(anchors.length, 'anchor')}; own negatives are k per anchor`,
    );
  return [first * perAnchor, end * perAnchor];
}

function swapped({ anchors, positives }: ContrastiveTaskOptions['through']): ContrastiveTaskOptions['through'] {
  return {
    ...(positives !== undefined && { anchors: positives }),
    ...(anchors !== undefined && { positives: anchors }),
  };
}
