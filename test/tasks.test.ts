import { describe, expect, it } from 'vitest';
import {
  AdamW,
  LoRAAdapter,
  LossComputer,
  packGradients,
  packWeights,
  readTensors,
  SGD,
  sumInOrder,
  type TensorFile,
} from '../src/index.js';
import { shapesOf } from '../src/internal/adapter-shapes.js';
import {
  type ContrastiveBatch,
  type ContrastiveTaskOptions,
  gradientTask,
  type LocalTaskOptions,
  localTask,
  type Task,
} from '../src/tasks.js';
import { makeGenerator } from './bullmq/tasks/training.mjs';

const untyped = (value: unknown): never => value as never;
const makeAdapters = (): Map<string, LoRAAdapter> =>
  new Map(['query', 'answer'].map((name, i) => [name, new LoRAAdapter({ dim: 16, rank: 4, seed: i + 1 })]));
const through = { anchors: 'query', positives: 'answer' };
const { anchors, positives } = makeGenerator(1, 600, 600).at(0).batch;
const own = makeGenerator(2, 1200, 1200).at(0).batch.anchors;
const ids = anchors.map((_, i) => i % 99);
const weights = anchors.map((_, i) => 1 + (i % 3));

/** The weights as bytes that begin in the middle of a buffer, as those of a socket do. */
function weightsOf(adapters: Map<string, LoRAAdapter>): { blobs: Record<string, Uint8Array> } {
  const flat = packWeights(adapters);
  const bytes = new Uint8Array(flat.byteLength + 3).subarray(3);
  bytes.set(new Uint8Array(flat.buffer, flat.byteOffset, flat.byteLength));
  return { blobs: { weights: bytes } };
}

const floats = (file: TensorFile, name: string): Float32Array => file.tensors.get(name)!.data as Float32Array;
const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** The results of the task for these parts of the batch. */
async function partsOf(
  options: Partial<ContrastiveTaskOptions>,
  batch: ContrastiveBatch,
  cuts: readonly (readonly [number, number])[],
): Promise<TensorFile[]> {
  const adapters = (options.adapters as Map<string, LoRAAdapter>) ?? makeAdapters();
  const context = weightsOf(adapters);
  const task = gradientTask({ through, ...options, adapters, batch: () => batch });
  const run = ([from, to]: readonly [number, number]): Promise<Uint8Array> =>
    Promise.resolve(task({ step: 0, from, to, adapters: shapesOf(adapters) }, context));
  return (await Promise.all(cuts.map(run))).map(bytes => readTensors(bytes));
}

describe('gradientTask', () => {
  const CUTS = [
    [0, 512],
    [512, 1024],
    [1024, 1536],
  ] as const;

  it.each<[string, Partial<ContrastiveTaskOptions>, Partial<ContrastiveBatch>]>([
    ['ids and weights', {}, { ids, weights }],
    [
      'own negatives with ids',
      { negativeMode: 'inBatch+own', temperature: 0.1 },
      { negatives: own, ids, negativeIds: own.map((_, j) => j % 99) },
    ],
    ['own negatives without ids', { negativeMode: 'own' }, { negatives: own }],
    ['negatives for all', { negativeMode: 'inBatch+explicit', precision: 'int16' }, { negatives: own.slice(0, 20) }],
    [
      'negatives for all, with ids',
      { negativeMode: 'explicit' },
      { negatives: own.slice(0, 20), ids, negativeIds: ids.slice(0, 20) },
    ],
    ['both directions', { symmetric: true }, { ids }],
    [
      'both directions, negatives in one',
      { symmetric: true, negativeMode: 'inBatch+own' },
      { negatives: own, ids, negativeIds: own.map((_, j) => j % 99) },
    ],
    [
      'both directions, an adapter for both',
      { symmetric: true, through: { anchors: 'query', positives: 'query' } },
      {},
    ],
  ])('gives groups that add up to the whole, to the bit: %s', async (_, options, more) => {
    const used = options.through ? new Map([...makeAdapters()].slice(0, 1)) : makeAdapters();
    const files = await partsOf({ ...options, adapters: new Map(used) }, { anchors, positives, ...more }, CUTS);
    const { negatives = null, ...rest } = more;
    const whole = LossComputer.contrastive(anchors, positives, negatives, {
      ...options,
      ...rest,
      adapters: makeAdapters(),
      through: options.through ?? through,
      gradients: true,
    });
    const directions = options.symmetric ? 2 : 1;
    const size = packWeights(used).length;
    expect(files.map(({ tensors }) => tensors.get('gradients')!.shape)).toEqual([
      [directions, 2, size],
      [directions, 1, size],
      [directions, 0, size],
    ]);
    expect(files.map(({ metadata }) => metadata.rows)).toEqual(['600', '600', '600']);
    const all = (name: string, direction: number, width: number): Float32Array[] =>
      files.flatMap(file => {
        const data = floats(file, name);
        const groups = data.length / directions / width;
        return Array.from({ length: groups }, (__, i) =>
          data.slice((direction * groups + i) * width, (direction * groups + i + 1) * width),
        );
      });
    const total = (name: string): number =>
      sum([0, 1].slice(0, directions).map(d => sum(all(name, d, 1).map(([value]) => value!)) / directions));
    expect(total('losses')).toBe(whole.loss);
    expect(total('temperatures')).toBe(whole.temperatureGradient);
    const sums = [0, 1].slice(0, directions).map(d => sumInOrder(all('gradients', d, size)));
    expect(sumInOrder(sums).map(value => value / directions)).toEqual(packGradients(used, whole.adapterGradients!));
  });

  it('passes rows through one adapter, forward and in reverse', async () => {
    for (const side of ['anchors', 'positives'] as const) {
      const used = new Map([...makeAdapters()].slice(0, 1));
      const options = { adapters: used, through: { [side]: 'query' }, symmetric: true };
      const [file] = await partsOf(options, { anchors, positives }, [[0, 600]]);
      const whole = LossComputer.contrastive(anchors, positives, null, { ...options, adapters: makeAdapters() });
      expect(sum([...floats(file!, 'losses')]) / 2).toBeCloseTo(whole.loss, 12);
    }
  });

  it('has no groups where the part begins at the end of the batch', async () => {
    const [file] = await partsOf({}, { anchors, positives }, [[600, 856]]);
    expect(file!.tensors.get('gradients')!.shape).toEqual([1, 0, 256]);
  });

  it('asks for a batch once per step', async () => {
    const steps: number[] = [];
    const batch = (step: number): ContrastiveBatch => {
      steps.push(step);
      return { anchors, positives };
    };
    const task = gradientTask({ adapters: makeAdapters(), through, batch });
    for (const step of [0, 0, 1, 1, 0])
      await task({ step, from: 0, to: 256, adapters: shapesOf(makeAdapters()) }, weightsOf(makeAdapters()));
    expect(steps).toEqual([0, 1, 0]);
  });

  it('has a checksum that tells other batches apart, and does not depend on the type of rows', async () => {
    const small = anchors.slice(0, 3).map(row => Array.from(row));
    const batch = { anchors: small, positives: small, negatives: small, weights: [1, 2, 3] };
    const changed = (row: number, place: number): number[][] =>
      small.map((entries, i) => entries.map((entry, k) => (i === row && k === place ? entry + 1e-3 : entry)));
    const checksum = async (
      other: ContrastiveBatch,
      options: Partial<ContrastiveTaskOptions> = {},
    ): Promise<string> => {
      const [file] = await partsOf(options, other, [[0, 3]]);
      return file!.metadata.checksum!;
    };
    const expected = await checksum(batch);
    expect(expected).toMatch(/^\d+$/);
    expect(await checksum({ ...batch, anchors: small.map(row => Float32Array.from(row)) })).toBe(expected);
    const others: ContrastiveBatch[] = [
      ...[0, 7, 15].map(place => ({ ...batch, anchors: changed(2, place) })),
      { ...batch, positives: changed(0, 15) },
      { ...batch, negatives: changed(1, 3) },
      { ...batch, anchors: [...small].reverse() },
      { ...batch, weights: [1, 2, 4] },
    ];
    others.push({ ...batch, ids: [1, 2, 3] }, { ...batch, ids: ['a', 'b', 'ab'], negativeIds: ['a', 'b', 'c'] });
    others.push({ ...batch, ids: ['a', 'ba', 'b'], negativeIds: ['a', 'b', 'c'] });
    const checksums = await Promise.all([
      ...others.map(other => checksum(other)),
      ...[{ temperature: 0.1 }, { symmetric: true }, { negativeMode: 'own' }, { precision: 'int16' }].map(options =>
        checksum(batch, options as Partial<ContrastiveTaskOptions>),
      ),
    ]);
    expect(new Set([expected, ...checksums]).size).toBe(checksums.length + 1);
  });

  const options = { adapters: makeAdapters(), through, batch: () => ({ anchors, positives }) };

  it.each<[string, object]>([
    ['unknown option "bacth"; did you mean batch?', { bacth: 1 }],
    ['no rows go through adapter "answer"', { through: { anchors: 'query' } }],
    ['adapters must be a Map', { adapters: {} }],
    ['through must be an object, got undefined', { through: undefined }],
    ['batch must be a function, got null', { batch: null }],
    ['adapters is empty', { adapters: new Map() }],
  ])('refuses %s', (message, wrong) => {
    expect(() => gradientTask(untyped({ ...options, ...wrong }))).toThrow(`gradientTask: ${message}`);
    expect(() => localTask(untyped({ ...options, ...wrong }))).toThrow(`localTask: ${message}`);
  });

  it.each<[string, object]>([
    ['temperature must be a finite number above 0, got 0', { temperature: 0 }],
    ['symmetric must be a boolean, got "no"', { symmetric: 'no' }],
    ['precision must be', { precision: 'int8' }],
    ['negativeMode must be', { negativeMode: 'hard' }],
    [
      'through.anchors ',
      { through: { anchors: 'other', positives: 'answer' }, adapters: new Map([...makeAdapters()].slice(1)) },
    ],
  ])('passes on at once what the loss refuses: %s', (message, wrong) => {
    for (const make of [gradientTask, localTask]) {
      const call = (): unknown => make(untyped({ ...options, ...wrong }));
      expect(call).toThrow(`LossComputer.contrastive: ${message}`);
    }
  });

  const context = weightsOf(options.adapters);
  const payload = { step: 0, from: 0, to: 256, adapters: shapesOf(options.adapters) };

  it.each<[string, unknown, object, Partial<typeof options>]>([
    ['gradientTask: payload must be an object, got null', null, context, {}],
    ['gradientTask: the coordinator has the adapters undefined, this worker has query', { step: 0 }, context, {}],
    [
      'gradientTask: batch(0) has 600 anchors and 599 positives',
      payload,
      context,
      { batch: () => ({ anchors, positives: positives.slice(1) }) },
    ],
    ['gradientTask: batch(0).anchors must be an array', payload, context, { batch: () => untyped({ positives }) }],
    ['gradientTask: blobs must be an object, got undefined', payload, {}, {}],
    ['gradientTask: payload.step must be an integer of at least 0, got -1', { ...payload, step: -1 }, context, {}],
    ['gradientTask: payload.from must be an integer of at least 0, got -1', { ...payload, from: -1 }, context, {}],
    ['gradientTask: payload.to must be an integer of at least 0, got 0.5', { ...payload, to: 0.5 }, context, {}],
    ['gradientTask: blobs.weights is missing', payload, { blobs: {} }, {}],
    ['gradientTask: blobs.weights has 3 bytes', payload, { blobs: { weights: new Uint8Array(3) } }, {}],
    ['unpackWeights: flat has 2 entries', payload, { blobs: { weights: new Uint8Array(8) } }, {}],
    ['gradientTask: batch(0) must be an object, got null', payload, context, { batch: () => untyped(null) }],
    [
      'gradientTask: the batch has 1199 negatives and 600 anchors; own negatives are k per anchor',
      payload,
      context,
      untyped({ negativeMode: 'own', batch: () => ({ anchors, positives, negatives: own.slice(1) }) }),
    ],
  ])('refuses a job: %s', async (message, wrong, given, others) => {
    const task = gradientTask({ ...options, ...others });
    await expect(async () => task(wrong, untyped(given))).rejects.toThrow(message);
  });
});

describe('localTask', () => {
  const [few, theirs] = [anchors.slice(0, 50), positives.slice(0, 50)];
  const payload = { round: 2, shard: 1, localSteps: 3, lr: 0.01, adapters: shapesOf(makeAdapters()) };
  const run = async (task: Task<unknown, Uint8Array>): Promise<TensorFile> =>
    readTensors(await task(payload, weightsOf(makeAdapters())));

  it.each<[string, Partial<LocalTaskOptions>, Partial<ContrastiveBatch>, typeof SGD | typeof AdamW]>([
    ['AdamW by default', {}, {}, AdamW],
    ['an optimizer of the caller', { optimizer: adapters => new SGD(adapters) }, { ids: ids.slice(0, 50) }, SGD],
    [
      'both directions and negatives',
      { symmetric: true, negativeMode: 'inBatch+own', temperature: 0.2 },
      { negatives: own.slice(0, 100) },
      AdamW,
    ],
  ])('takes the steps of a plain loop: %s', async (_, options, more, Optimizer) => {
    const steps: number[] = [];
    const task = localTask({
      adapters: makeAdapters(),
      through,
      ...options,
      batch: (shard, step) => {
        steps.push(shard, step);
        return { anchors: few, positives: theirs, ...more };
      },
    });
    const result = await run(task);
    expect(steps).toEqual([1, 6, 1, 7, 1, 8]);
    expect(await run(task)).toEqual(result);

    const adapters = makeAdapters();
    const base = packWeights(adapters);
    const optimizer = new Optimizer(adapters);
    const { optimizer: __, ...lossOptions } = options;
    const { negatives = null, ...rest } = more;
    const losses = [0, 1, 2].map(() => {
      const all = { ...lossOptions, ...rest, adapters, through, gradients: true } as const;
      const { loss, adapterGradients } = LossComputer.contrastive(few, theirs, negatives, all);
      optimizer.step(adapterGradients!, 0.01);
      return loss;
    });
    expect(floats(result, 'delta')).toEqual(packWeights(adapters).map((weight, i) => weight - base[i]!));
    expect(Number(result.tensors.get('loss')!.data[0])).toBeCloseTo(sum(losses) / 3, 12);
    expect(losses[2]).toBeLessThan(losses[0]!);
  });

  it.each<[string, object]>([
    ['payload.round must be an integer of at least 0, got -1', { round: -1 }],
    ['payload.shard must be an integer of at least 0, got null', { shard: null }],
    ['payload.localSteps must be an integer of at least 1, got 0', { localSteps: 0 }],
    ['payload.lr must be a finite number of at least 0, got -1', { lr: -1 }],
  ])('refuses %s', async (message, wrong) => {
    const options = { adapters: makeAdapters(), through, batch: () => ({ anchors: few, positives: theirs }) };
    const call = async (): Promise<unknown> => localTask(options)({ ...payload, ...wrong }, weightsOf(makeAdapters()));
    await expect(call).rejects.toThrow(`localTask: ${message}`);
    expect(() => localTask(untyped({ ...options, optimizer: 3 }))).toThrow('localTask: optimizer must be a function');
  });

  it('refuses a payload, weights and a batch of other kinds', async () => {
    const options = { adapters: makeAdapters(), through, batch: () => untyped(undefined) };
    const call = async (given: unknown, blobs: object): Promise<unknown> =>
      localTask(options)(given, untyped({ blobs }));
    await expect(call(null, {})).rejects.toThrow('localTask: payload must be an object, got null');
    await expect(call(payload, {})).rejects.toThrow('localTask: blobs.weights is missing');
    await expect(call(payload, weightsOf(options.adapters).blobs)).rejects.toThrow(
      'localTask: batch(1, 6) must be an object, got undefined',
    );
  });
});
