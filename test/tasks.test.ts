import { describe, expect, it } from 'vitest';
import { LoRAAdapter, LossComputer, packGradients, packWeights, readTensors, sumInOrder } from '../src/index.js';
import { type ContrastiveTaskOptions, gradientTask, localTask } from '../src/tasks.js';
import { makeGenerator } from './bullmq/tasks/training.mjs';

const untyped = (value: unknown): never => value as never;
const makeAdapters = (): Map<string, LoRAAdapter> =>
  new Map(['query', 'answer'].map((name, i) => [name, new LoRAAdapter({ dim: 16, rank: 4, seed: i + 1 })]));
const through = { anchors: 'query', positives: 'answer' };
const { anchors, positives } = makeGenerator(1, 600, 600).at(0).batch;
const own = makeGenerator(2, 1200, 1200).at(0).batch.anchors;

function weightsOf(adapters: Map<string, LoRAAdapter>): { blobs: Record<string, Uint8Array> } {
  const flat = packWeights(adapters);
  return { blobs: { weights: new Uint8Array(flat.buffer, flat.byteOffset, flat.byteLength) } };
}

describe('gradientTask', () => {
  it.each<[string, Partial<ContrastiveTaskOptions>, object]>([
    ['ids and weights', {}, { ids: anchors.map((_, i) => i % 99), weights: anchors.map((_, i) => 1 + (i % 3)) }],
    [
      'own negatives with ids',
      { negativeMode: 'inBatch+own', temperature: 0.1 },
      {
        negatives: own,
        ids: anchors.map((_, i) => i % 99),
        negativeIds: own.map((_, j) => j % 99),
      },
    ],
    ['explicit negatives', { negativeMode: 'inBatch+explicit', precision: 'int16' }, { negatives: own.slice(0, 20) }],
  ])('gives groups that add up to the whole, to the bit: %s', async (_, options, more) => {
    const adapters = makeAdapters();
    const batch = { anchors, positives, ...more };
    const task = gradientTask({ adapters: makeAdapters(), through, ...options, batch: () => batch });
    const parts = await Promise.all(
      [0, 512, 1024].map(from => task({ step: 0, from, to: from + 512 }, weightsOf(adapters))),
    );
    const { negatives = null, ...rest } = more as { negatives?: Float32Array[] };
    const whole = LossComputer.contrastive(anchors, positives, negatives, {
      ...options,
      ...rest,
      adapters,
      through,
      gradients: true,
    });
    const files = parts.map(bytes => readTensors(bytes));
    expect(files.map(({ tensors }) => tensors.get('gradients')!.shape)).toEqual([
      [1, 2, 256],
      [1, 1, 256],
      [1, 0, 256],
    ]);
    expect(files.map(({ metadata }) => metadata.rows)).toEqual(['600', '600', '600']);
    const losses = files.flatMap(({ tensors }) => [...(tensors.get('losses')!.data as Float64Array)]);
    expect(losses.reduce((sum, loss) => sum + loss, 0)).toBe(whole.loss);
    const groups = files.flatMap(({ tensors }) => {
      const { shape, data } = tensors.get('gradients')!;
      const [, count, size] = shape as [number, number, number];
      return Array.from({ length: count }, (__, i) => (data as Float32Array).slice(i * size, (i + 1) * size));
    });
    expect(sumInOrder(groups)).toEqual(packGradients(adapters, whole.adapterGradients!));
  });

  it('refuses bad options, payloads and bytes', async () => {
    const options = { adapters: makeAdapters(), through, batch: () => ({ anchors, positives }) };
    expect(() => gradientTask(untyped({ ...options, bacth: 1 }))).toThrow(
      'gradientTask: unknown option "bacth"; did you mean batch?',
    );
    expect(() => gradientTask({ ...options, through: { anchors: 'query' } })).toThrow(
      'gradientTask: no rows go through adapter "answer"',
    );
    const task = gradientTask(options);
    const context = weightsOf(options.adapters);
    const payload = { step: 0, from: 0, to: 256 };
    await expect(async () => task(null, context)).rejects.toThrow('gradientTask: payload must be an object, got null');
    await expect(async () => task({ ...payload, step: -1 }, context)).rejects.toThrow(
      'payload.step must be an integer',
    );
    await expect(async () => task(payload, { blobs: {} })).rejects.toThrow('gradientTask: blobs.weights is missing');
    const short = { blobs: { weights: new Uint8Array(3) } };
    await expect(async () => task(payload, short)).rejects.toThrow('blobs.weights has 3 bytes, no multiple of 4');
    const other = { blobs: { weights: new Uint8Array(8) } };
    await expect(async () => task(payload, other)).rejects.toThrow('unpackWeights: flat has 2 entries, expected 256');
    const uneven = gradientTask({
      ...options,
      negativeMode: 'own',
      batch: () => ({ anchors, positives, negatives: own.slice(1) }),
    });
    await expect(async () => uneven(payload, context)).rejects.toThrow(
      'gradientTask: the batch has 1199 negatives and 600 anchors; own negatives are k per anchor',
    );
  });
});

describe('localTask', () => {
  it('takes AdamW steps by default, and returns what they changed', async () => {
    const adapters = makeAdapters();
    const steps: number[] = [];
    const task = localTask({
      adapters: makeAdapters(),
      through,
      batch: (shard, step) => {
        steps.push(shard, step);
        return { anchors: anchors.slice(0, 50), positives: positives.slice(0, 50) };
      },
    });
    const context = weightsOf(adapters);
    const run = (): Promise<Uint8Array> =>
      Promise.resolve(task({ round: 2, shard: 1, localSteps: 3, lr: 0.01 }, context));
    const [once, again] = [readTensors(await run()), readTensors(await run())];
    expect(steps).toEqual([1, 6, 1, 7, 1, 8, 1, 6, 1, 7, 1, 8]);
    expect(again).toEqual(once);
    const delta = once.tensors.get('delta')!.data as Float32Array;
    expect(delta.some(change => change !== 0)).toBe(true);
    expect(Number(once.tensors.get('loss')!.data[0])).toBeGreaterThan(0);
  });

  it('refuses bad payloads', async () => {
    const options = { adapters: makeAdapters(), through, batch: () => ({ anchors, positives }) };
    const task = localTask(options);
    const call = async (payload: object): Promise<unknown> => task(payload, weightsOf(options.adapters));
    await expect(call({ round: 0, shard: 0, localSteps: 0, lr: 1 })).rejects.toThrow(
      'localTask: payload.localSteps must be an integer of at least 1, got 0',
    );
    await expect(call({ round: 0, shard: 0, localSteps: 1 })).rejects.toThrow('localTask: payload.lr must be');
    expect(() => localTask(untyped({ ...options, optimizer: 3 }))).toThrow('localTask: optimizer must be a function');
  });
});
