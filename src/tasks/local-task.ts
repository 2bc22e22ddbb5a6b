import {
  AdamW,
  type Adapter,
  type AdapterGradients,
  LossComputer,
  packWeights,
  unpackWeights,
  writeTensors,
} from '../index.js';
import { checkCount, checkFunction, checkNumber, checkObject } from '../internal/validate/option-checks.js';
import type { Task } from '../tasks.js';
import {
  type ContrastiveBatch,
  type ContrastiveTaskOptions,
  checkBatch,
  checkShapes,
  checkTask,
  floatsOf,
  lossOptionsOf,
} from './contrastive-batch.js';

/** An optimizer, as `AdamW` and `SGD` are. */
export interface StepsWithGradients {
  step(gradients: ReadonlyMap<string, AdapterGradients>, lr: number): void;
}

export interface LocalTaskOptions extends ContrastiveTaskOptions {
  /** The batch of a step on a shard. `step` counts the steps of all rounds. */
  batch: (shard: number, step: number) => ContrastiveBatch | Promise<ContrastiveBatch>;
  /**
   * Makes the optimizer of a round. Each round starts with a new one, so that a round depends on its weights and rows alone.
   *
   * @default AdamW
   */
  optimizer?: (adapters: ReadonlyMap<string, Adapter>) => StepsWithGradients;
}

/**
 * The task of `LocalRounds`: some steps of training on one shard, from the round's weights. The module of the task exports
 * it as default.
 *
 * @throws TypeError or RangeError for wrong options.
 */
export function localTask(options: LocalTaskOptions): Task<unknown, Uint8Array> {
  const call = 'localTask';
  checkTask(call, options, ['batch', 'optimizer']);
  const { adapters, symmetric = false, batch: batchOf, optimizer: makeOptimizer = defaultOptimizer } = options;
  checkFunction(call, 'optimizer', makeOptimizer);

  return async (payload, { blobs }) => {
    checkObject(call, 'payload', payload);
    checkShapes(call, adapters, payload);
    const round = checkCount(call, 'payload.round', payload.round, 0);
    const shard = checkCount(call, 'payload.shard', payload.shard, 0);
    const localSteps = checkCount(call, 'payload.localSteps', payload.localSteps);
    const lr = checkNumber(call, 'payload.lr', payload.lr, { min: 0 });
    const base = floatsOf(call, 'weights', blobs);
    unpackWeights(adapters, base);
    const optimizer = makeOptimizer(adapters);
    let loss = 0;
    for (let i = 0; i < localSteps; i++) {
      const step = round * localSteps + i;
      const batch = await batchOf(shard, step);
      checkBatch(call, `batch(${shard}, ${step})`, batch);
      const result = LossComputer.contrastive(batch.anchors, batch.positives, batch.negatives ?? null, {
        ...lossOptionsOf(options, batch),
        symmetric,
      });
      loss += result.loss / localSteps;
      optimizer.step(result.adapterGradients!, lr);
    }
    const delta = packWeights(adapters).map((weight, i) => weight - base[i]!);
    return writeTensors({
      delta: { shape: [delta.length], data: delta },
      loss: { shape: [], data: Float64Array.of(loss) },
    });
  };
}

function defaultOptimizer(adapters: ReadonlyMap<string, Adapter>): StepsWithGradients {
  return new AdamW(adapters);
}
