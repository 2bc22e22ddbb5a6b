import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type Adapter,
  BatchGenerator,
  DataPreprocessor,
  EWCManager,
  GradientCheckpointer,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  ReduceLROnPlateau,
  readJsonl,
  SGD,
  sequence,
} from '../../src/index.js';

/** The words of the message, the type of the error, and the call that throws it. */
type Row = [message: string, kind: typeof TypeError | typeof RangeError, call: () => unknown];

const rows = [
  [1, 2],
  [3, 4],
];
const one = [[1, 2]];
const withNaN = [
  [1, 2],
  [3, Number.NaN],
];
const withInfinity = [[1, 2], Float32Array.of(3, Infinity)];
const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
const adapters = new Map([['query', adapter]]);
const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
const grads = { gradA: [[1], [1]], gradB: [[1, 1]] };
const constant = { schedule: LRSchedulers.constant, steps: 1 };
const step = { forward: (x: number) => x, backward: (_: number, gradY: number) => gradY };

/** A call that breaks the static types, as plain JavaScript may. */
// biome-ignore lint/suspicious/noExplicitAny: the tests pass values that the types refuse
const untyped = (value: unknown): any => value;

const losses: Row[] = [
  [
    'contrastive: anchors must be an array, got undefined',
    TypeError,
    () => LossComputer.contrastive(untyped(undefined), rows),
  ],
  [
    'contrastive: anchors must be an array, got a Float32Array',
    TypeError,
    () => LossComputer.contrastive(untyped(Float32Array.of(1)), rows),
  ],
  ['contrastive: anchors has no rows', RangeError, () => LossComputer.contrastive([], [])],
  ['contrastive: positives has 1 row, anchors has 2', RangeError, () => LossComputer.contrastive(rows, one)],
  [
    'contrastive: anchors[1] must be a Float32Array, Float64Array or number[], got "x"',
    TypeError,
    () => LossComputer.contrastive(untyped([[1], 'x']), rows),
  ],
  ['contrastive: positives[0] is empty', RangeError, () => LossComputer.contrastive(rows, [[], [1]])],
  ['contrastive: anchors[1][1] must be finite, got NaN', RangeError, () => LossComputer.contrastive(withNaN, rows)],
  [
    'contrastive: positives[1][1] must be finite, got Infinity',
    RangeError,
    () => LossComputer.contrastive(rows, withInfinity),
  ],
  [
    'contrastive: negatives[1][1] must be finite, got NaN',
    RangeError,
    () => LossComputer.contrastive(rows, rows, withNaN),
  ],
  [
    'contrastive: anchors[0][1] must be a number, got "2"',
    TypeError,
    () =>
      LossComputer.contrastive(
        untyped([
          [1, '2x'.slice(0, 1)],
          [3, undefined],
        ]),
        rows,
      ),
  ],
  [
    'contrastive: negatives must be an array, got "none"',
    TypeError,
    () => LossComputer.contrastive(rows, rows, untyped('none')),
  ],
  [
    'contrastive: temperature must be a finite number above 0, got 0',
    RangeError,
    () => LossComputer.contrastive(rows, rows, null, { temperature: 0 }),
  ],
  [
    'contrastive: temperature must be a finite number above 0, got "0.1"',
    TypeError,
    () => LossComputer.contrastive(rows, rows, null, { temperature: untyped('0.1') }),
  ],
  [
    'contrastive: margin must be a finite number, got NaN',
    RangeError,
    () => LossComputer.contrastive(rows, rows, null, { margin: Number.NaN }),
  ],
  [
    'contrastive: ids has 1 row, anchors has 2',
    RangeError,
    () => LossComputer.contrastive(rows, rows, null, { ids: [1] }),
  ],
  [
    'contrastive: ids[1] must be a string or a number, got null',
    TypeError,
    () => LossComputer.contrastive(rows, rows, null, { ids: untyped([1, null]) }),
  ],
  [
    'contrastive: ids[0] is NaN, which equals no id',
    RangeError,
    () => LossComputer.contrastive(rows, rows, null, { ids: [Number.NaN, 1] }),
  ],
  ['triplet: negatives has 1 row, anchors has 2', RangeError, () => LossComputer.triplet(rows, rows, one)],
  [
    'triplet: negatives[1][1] must be finite, got Infinity',
    RangeError,
    () => LossComputer.triplet(rows, rows, withInfinity),
  ],
  ['triplet: the result overflows', RangeError, () => LossComputer.triplet(one, [[1e200, 0]], one)],
  [
    'triplet: margin must be a finite number, got Infinity',
    RangeError,
    () => LossComputer.triplet(rows, rows, rows, { margin: Infinity }),
  ],
  [
    'crossEntropy: targets[1] must be an integer from 0 to 1, got 2',
    RangeError,
    () => LossComputer.crossEntropy(rows, [0, 2]),
  ],
  [
    'crossEntropy: targets[0] must be an integer from 0 to 1, got 0.5',
    RangeError,
    () => LossComputer.crossEntropy(rows, [0.5, 0]),
  ],
  ['crossEntropy: targets has 1 row, predictions has 2', RangeError, () => LossComputer.crossEntropy(rows, [0])],
  [
    'crossEntropy: targets must be an array of class indices, got undefined',
    TypeError,
    () => LossComputer.crossEntropy(rows, untyped(undefined)),
  ],
  [
    'crossEntropy: targets[0] is class 1, which predictions[0] rules out by -Infinity',
    RangeError,
    () => LossComputer.crossEntropy([[0, -Infinity]], [1]),
  ],
  [
    'crossEntropy: labelSmoothing spreads over all classes, predictions rule some out by -Infinity',
    RangeError,
    () => LossComputer.crossEntropy([[0, -Infinity]], [0], { labelSmoothing: 0.1 }),
  ],
  [
    'crossEntropy: targets[1] must be an integer from 0 to 1, got undefined',
    TypeError,
    () => LossComputer.crossEntropy(rows, untyped([0, undefined])),
  ],
  [
    'mse: the sum of weights must be a finite number, got Infinity',
    RangeError,
    () => LossComputer.mse(rows, rows, { weights: [1e308, 1e308] }),
  ],
  [
    "contrastive: negativeMode 'own' needs negatives, got null",
    RangeError,
    () => LossComputer.contrastive(rows, rows, null, { negativeMode: 'own' }),
  ],
  [
    'combine: losses[0].loss.gradients must be an array, got 1',
    TypeError,
    () => LossComputer.combine([{ loss: { loss: 1, gradients: untyped(1) }, weight: 1 }]),
  ],
  [
    'crossEntropy: labelSmoothing must be a finite number from 0 to 1, got 2',
    RangeError,
    () => LossComputer.crossEntropy(rows, [0, 1], { labelSmoothing: 2 }),
  ],
  ['mse: predictions[1][1] must be finite, got NaN', RangeError, () => LossComputer.mse(withNaN, rows)],
  ['mse: targets has 1 row, predictions has 2', RangeError, () => LossComputer.mse(rows, one)],
  [
    'cosineEmbedding: labels has 1 row, predictions has 2',
    RangeError,
    () => LossComputer.cosineEmbedding(rows, rows, [1]),
  ],
  [
    'cosineEmbedding: labels[1] must be a number, got "x"',
    TypeError,
    () => LossComputer.cosineEmbedding(rows, rows, untyped([1, 'x'])),
  ],
  [
    'cosineEmbedding: labels must be an array of numbers, got 1',
    TypeError,
    () => LossComputer.cosineEmbedding(rows, rows, untyped(1)),
  ],
  [
    'cosineEmbedding: targets[1][1] must be finite, got Infinity',
    RangeError,
    () => LossComputer.cosineEmbedding(rows, withInfinity),
  ],
  [
    'combine: losses must be an array or another iterable, got an object',
    TypeError,
    () => LossComputer.combine(untyped({})),
  ],
  [
    'combine: losses[0].weight must be a finite number, got undefined',
    TypeError,
    () => LossComputer.combine(untyped([{ loss: { loss: 1 } }])),
  ],
  [
    'combine: losses[0].loss must be an object, got 3',
    TypeError,
    () => LossComputer.combine(untyped([{ loss: 3, weight: 1 }])),
  ],
  [
    'combine: losses[0].loss.loss must be a finite number, got NaN',
    RangeError,
    () => LossComputer.combine([{ loss: { loss: Number.NaN }, weight: 1 }]),
  ],
];

const options: Row[] = [
  ['DataPreprocessor: options must be an object, got 3', TypeError, () => new DataPreprocessor(untyped(3))],
  [
    'DataPreprocessor: embeddingDim must be an integer of at least 1, got 0',
    RangeError,
    () => new DataPreprocessor({ embeddingDim: 0 }),
  ],
  [
    'DataPreprocessor: maxLength must be an integer of at least 0 or Infinity, got -1',
    RangeError,
    () => new DataPreprocessor({ maxLength: -1 }),
  ],
  [
    'DataPreprocessor: augmentationFactor must be an integer of at least 1, got 1.5',
    RangeError,
    () => new DataPreprocessor({ augmentationFactor: 1.5 }),
  ],
  [
    'DataPreprocessor: qualityThreshold must be a finite number, got NaN',
    RangeError,
    () => new DataPreprocessor({ qualityThreshold: Number.NaN }),
  ],
  [
    "DataPreprocessor: embedder must be 'hash' | 'ngram' | a function | an object with embed(texts), got \"bert\"",
    RangeError,
    () => new DataPreprocessor({ embedder: untyped('bert') }),
  ],
  [
    "DataPreprocessor: embedder must be 'hash' | 'ngram' | a function | an object with embed(texts), got null",
    TypeError,
    () => new DataPreprocessor({ embedder: untyped(null) }),
  ],
  [
    'DataPreprocessor: embedder.embed must be a function, got 3',
    TypeError,
    () => new DataPreprocessor({ embedder: untyped({ embed: 3 }) }),
  ],
  [
    'DataPreprocessor: embedBatchSize must be an integer of at least 1, got 0',
    RangeError,
    () => new DataPreprocessor({ embedBatchSize: 0 }),
  ],
  [
    'DataPreprocessor: tokenizer must be a function, got "bpe"',
    TypeError,
    () => new DataPreprocessor({ tokenizer: untyped('bpe') }),
  ],
  [
    'DataPreprocessor: cacheBytes must be a finite number of at least 0 or Infinity, got -1',
    RangeError,
    () => new DataPreprocessor({ cacheBytes: -1 }),
  ],
  [
    'DataPreprocessor: seed must be an integer from 0 to 4294967295, got -1',
    RangeError,
    () => new DataPreprocessor({ seed: -1 }),
  ],
  [
    'BatchGenerator: batchSize must be an integer of at least 1, got 0',
    RangeError,
    () => new BatchGenerator(data, { batchSize: 0 }),
  ],
  [
    'BatchGenerator: batchSize must be an integer of at least 1, got "8"',
    TypeError,
    () => new BatchGenerator(data, { batchSize: untyped('8') }),
  ],
  [
    'BatchGenerator: curriculumEpochs must be a finite number or Infinity, got NaN',
    RangeError,
    () => new BatchGenerator(data, { curriculumEpochs: Number.NaN }),
  ],
  [
    'BatchGenerator: seed must be an integer from 0 to 4294967295, got 0.5',
    RangeError,
    () => new BatchGenerator(data, { seed: 0.5 }),
  ],
  [
    'BatchGenerator: data must be an array or another iterable, got undefined',
    TypeError,
    () => new BatchGenerator(untyped(undefined)),
  ],
  ['BatchGenerator: data[0] must be an object, got null', TypeError, () => new BatchGenerator(untyped([null]))],
  [
    'BatchGenerator: data[0].inputEmb must be a Float32Array, Float64Array or number[], got undefined',
    TypeError,
    () => new BatchGenerator(untyped([{ input: 'a', output: 'b' }])),
  ],
  [
    'BatchGenerator: data[0].quality must be a finite number, got NaN',
    RangeError,
    () => new BatchGenerator([{ ...data[0]!, quality: Number.NaN }]),
  ],
  ['epochs: total must be an integer of at least 0, got -1', RangeError, () => new BatchGenerator(data).epochs(-1)],
  [
    'setEpoch: epoch must be an integer of at least 0, got 0.5',
    RangeError,
    () => new BatchGenerator(data).setEpoch(0.5),
  ],
  [
    'BatchGenerator: shard.rank must be an integer from 0 to 1, got 2',
    RangeError,
    () => new BatchGenerator(data, { seed: 1, shard: { rank: 2, worldSize: 2 } }),
  ],
  [
    "BatchGenerator: shard.pad must be 'repeat' | 'none', got \"zeros\"",
    RangeError,
    () => new BatchGenerator(data, { seed: 1, shard: { rank: 0, worldSize: 2, pad: untyped('zeros') } }),
  ],
  [
    'BatchGenerator: shard needs a seed, so that all workers draw one order, or shuffle: false',
    RangeError,
    () => new BatchGenerator(data, { shard: { rank: 0, worldSize: 2 } }),
  ],
  [
    'BatchGenerator: sampleWeights has 2 rows, data has 1',
    RangeError,
    () => new BatchGenerator(data, { sampleWeights: [1, 1] }),
  ],
  [
    'BatchGenerator: sampleWeights[0] must not be negative, got -1',
    RangeError,
    () => new BatchGenerator(data, { sampleWeights: [-1] }),
  ],
  [
    'BatchGenerator: the sum of sampleWeights must be a finite number above 0, got 0',
    RangeError,
    () => new BatchGenerator(data, { sampleWeights: [0] }),
  ],
  [
    "BatchGenerator: negativeMining.strategy must be 'hardest' | 'semi-hard' | 'random', got \"easy\"",
    RangeError,
    () => new BatchGenerator(data, { negativeMining: { strategy: untyped('easy') } }),
  ],
  [
    'BatchGenerator: negativeMining.maxSimilarity must be a finite number from -1 to 1, got 2',
    RangeError,
    () => new BatchGenerator(data, { negativeMining: { strategy: 'hardest', maxSimilarity: 2 } }),
  ],
  [
    'BatchGenerator: negativeMining.relativeMargin must be a finite number of at least 0, got -1',
    RangeError,
    () => new BatchGenerator(data, { negativeMining: { strategy: 'hardest', relativeMargin: -1 } }),
  ],
  [
    'BatchGenerator: negativeMining.excludeDuplicates must be a boolean, got "no"',
    TypeError,
    () => new BatchGenerator(data, { negativeMining: { strategy: 'hardest', excludeDuplicates: untyped('no') } }),
  ],
  [
    'crossEntropy: predictions[1] has 3 entries, expected 2',
    RangeError,
    () =>
      LossComputer.crossEntropy(
        [
          [1, 2],
          [1, 2, 3],
        ],
        [0, 0],
        { classWeights: [1, 1] },
      ),
  ],
  [
    'SGD.step: grads have norm 1e+50',
    RangeError,
    () => new SGD(adapters).step(new Map([['query', { ...grads, gradB: [[1e50, 1]] }]])),
  ],
  [
    'BatchGenerator: hardNegatives and negativeMining exclude each other',
    RangeError,
    () => new BatchGenerator(data, { hardNegatives: true, negativeMining: { strategy: 'hardest' } }),
  ],
  [
    'EWCManager: lambda must be a finite number of at least 0, got -1',
    RangeError,
    () => new EWCManager({ lambda: -1 }),
  ],
  [
    'EWCManager: sampleSize must be an integer of at least 1 or Infinity, got 0',
    RangeError,
    () => new EWCManager({ sampleSize: 0 }),
  ],
  [
    'GradientCheckpointer: checkpointSegments must be an integer of at least 1, got 0',
    RangeError,
    () => new GradientCheckpointer({ checkpointSegments: 0 }),
  ],
  [
    'GradientCheckpointer: maxStoredActivations must be an integer of at least 0 or Infinity, got -1',
    RangeError,
    () => new GradientCheckpointer({ maxStoredActivations: -1 }),
  ],
  [
    'GradientCheckpointer.checkpoint: forwardFn must be a function, got 3',
    TypeError,
    () => new GradientCheckpointer().checkpoint(untyped(3), 1),
  ],
  [
    'estimateMemorySavings: totalLayers must be a finite number above 0, got 0',
    RangeError,
    () => new GradientCheckpointer().estimateMemorySavings(0, 1),
  ],
  [
    'estimateMemorySavings: activationSize must be a finite number above 0, got NaN',
    RangeError,
    () => new GradientCheckpointer().estimateMemorySavings(1, Number.NaN),
  ],
  [
    "GradientCheckpointer: strategy must be 'store-all' | 'segments' | 'binomial' | 'budget', got \"all\"",
    RangeError,
    () => new GradientCheckpointer({ strategy: untyped('all') }),
  ],
  [
    'GradientCheckpointer: slots must be an integer of at least 1, got 0',
    RangeError,
    () => new GradientCheckpointer({ slots: 0 }),
  ],
  [
    'GradientCheckpointer: memoryBudget must be a finite number of at least 0 or Infinity, got -1',
    RangeError,
    () => new GradientCheckpointer({ memoryBudget: -1 }),
  ],
  [
    "GradientCheckpointer: determinism must be 'none' | 'shape' | 'value', got true",
    TypeError,
    () => new GradientCheckpointer({ determinism: untyped(true) }),
  ],
  [
    'GradientCheckpointer.checkpoint: backwardFn must be a function, got null',
    TypeError,
    () => new GradientCheckpointer().checkpoint(x => x, 1, untyped(null)),
  ],
  [
    'GradientCheckpointer.backward: output does not come from a remembered checkpoint call',
    RangeError,
    () => new GradientCheckpointer().backward(rows, rows),
  ],
  [
    'GradientCheckpointer.backward: gradOutput must be the gradient of output, got undefined',
    TypeError,
    () => new GradientCheckpointer().backward(rows, undefined),
  ],
  [
    'GradientCheckpointer.chain: steps must be an array, got undefined',
    TypeError,
    () => new GradientCheckpointer().chain(untyped(undefined), 1),
  ],
  ['GradientCheckpointer.chain: steps is empty', RangeError, () => new GradientCheckpointer().chain([], 1)],
  [
    'GradientCheckpointer.chain: steps[1] must be an object, got null',
    TypeError,
    () => new GradientCheckpointer().chain(untyped([step, null]), 1),
  ],
  [
    'GradientCheckpointer.chain: steps[0].forward must be a function, got undefined',
    TypeError,
    () => new GradientCheckpointer().chain(untyped([{ ...step, forward: undefined }]), 1),
  ],
  [
    'GradientCheckpointer.chain: steps[1].backward must be a function, got 3',
    TypeError,
    () => new GradientCheckpointer().chain(untyped([step, { ...step, backward: 3 }]), 1),
  ],
  [
    'GradientCheckpointer.chain: steps[0].cost must be a finite number of at least 0, got -1',
    RangeError,
    () => new GradientCheckpointer().chain([{ ...step, cost: -1 }], 1),
  ],
  [
    'GradientCheckpointer.chain: steps[0].bytes must be a finite number of at least 0, got NaN',
    RangeError,
    () => new GradientCheckpointer().chain([{ ...step, bytes: Number.NaN }], 1),
  ],
  [
    'GradientCheckpointer.chain: input must be a typed array, a number, or an array or plain object of these, got null',
    TypeError,
    () => new GradientCheckpointer().chain(untyped([step]), null),
  ],
  [
    'GradientCheckpointer.chain: input.rows[1] must be a typed array, a number, or an array or plain object of these, got a Map',
    TypeError,
    () => new GradientCheckpointer().chain(untyped([step]), { rows: [1, new Map()] }),
  ],
  [
    'GradientCheckpointer.chain: the result of forward of step 0 must be a typed array, a number, or an array or plain object of these, got a Promise',
    TypeError,
    () => new GradientCheckpointer().chain(untyped([{ ...step, forward: async () => 1 }]), 1),
  ],
  [
    'GradientCheckpointer.chain: slots must be an integer of at least 1, got undefined',
    TypeError,
    () => new GradientCheckpointer({ strategy: 'binomial' }).chain([step], 1),
  ],
  [
    'GradientCheckpointer.chain: memoryBudget must be a finite number of at least 0 or Infinity, got undefined',
    TypeError,
    () => new GradientCheckpointer({ strategy: 'budget' }).chain([step], 1),
  ],
  [
    'GradientCheckpointer.chain: memoryBudget must be at least 16 bytes for these steps, got 15',
    RangeError,
    () => new GradientCheckpointer().chain([step, step], 1, { strategy: 'budget', memoryBudget: 15 }),
  ],
  [
    'GradientCheckpointer.chain: options must be an object, got 3',
    TypeError,
    () => new GradientCheckpointer().chain([step], 1, untyped(3)),
  ],
  ['Cannot recompute segment -1', RangeError, () => new GradientCheckpointer().recompute(-1)],
  ['LoRAAdapter: dim must be an integer of at least 1, got undefined', TypeError, () => new LoRAAdapter(untyped({}))],
  ['LoRAAdapter: rank must be an integer of at least 1, got 0', RangeError, () => new LoRAAdapter({ dim: 2, rank: 0 })],
  [
    'LoRAAdapter: alpha must be a finite number, got NaN',
    RangeError,
    () => new LoRAAdapter({ dim: 2, alpha: Number.NaN }),
  ],
  [
    'LoRAAdapter.from: adapter.loraA[1] has 2 entries, loraB has 1 row',
    RangeError,
    () => LoRAAdapter.from({ ...adapter, loraA: [[1], [2, 3]] }),
  ],
  [
    'LoRAAdapter.from: adapter.loraB[1] has 1 entry, loraB[0] has 2 entries',
    RangeError,
    () => LoRAAdapter.from({ loraA: rows, loraB: [[1, 2], [3]], scaling: 1 }),
  ],
  [
    'LoRAAdapter.from: adapter.loraB[0][1] must be a number, got null',
    TypeError,
    () => LoRAAdapter.from(untyped({ ...adapter, loraB: [[1, null]] })),
  ],
  [
    'LoRAAdapter.from: adapter.scaling must be a finite number, got undefined',
    TypeError,
    () => LoRAAdapter.from(untyped({ ...adapter, scaling: undefined })),
  ],
  ['LoRAAdapter.from: adapter must be an object, got null', TypeError, () => LoRAAdapter.from(untyped(null))],
  ['forward: rows[0] has 3 entries, expected 2', RangeError, () => LoRAAdapter.from(adapter).forward([[1, 2, 3]])],
  ['forward: rows[1][1] must be finite, got NaN', RangeError, () => LoRAAdapter.from(adapter).forward(withNaN)],
  [
    'AdamW: adapters must be a Map by adapter name, got an object',
    TypeError,
    () => new AdamW(untyped({ query: adapter })),
  ],
  ['AdamW: lr must be a finite number from 0 to 3.4e+38, got -1', RangeError, () => new AdamW(adapters, { lr: -1 })],
  [
    'AdamW: betas[1] must be a finite number of at least 0 and below 1, got 1',
    RangeError,
    () => new AdamW(adapters, { betas: [0.9, 1] }),
  ],
  ['AdamW: betas must be an array, got 0.9', TypeError, () => new AdamW(adapters, { betas: untyped(0.9) })],
  [
    'AdamW: maxGradNorm must be a finite number above 0, got 0',
    RangeError,
    () => new AdamW(adapters, { maxGradNorm: 0 }),
  ],
  [
    'AdamW: adapters.get("bad").loraA must be an array, got undefined',
    TypeError,
    () => new AdamW(untyped(new Map([['bad', {}]]))),
  ],
  [
    'AdamW.step: grads has "other", which is no adapter',
    RangeError,
    () => new AdamW(adapters).step(new Map([['other', grads]])),
  ],
  [
    'AdamW.step: grads.get("query").gradA has 1 row, the adapter has 2',
    RangeError,
    () => new AdamW(adapters).step(new Map([['query', { ...grads, gradA: [[1]] }]])),
  ],
  [
    'AdamW.step: grads.get("query").gradB[0] has 1 entry, expected 2',
    RangeError,
    () => new AdamW(adapters).step(new Map([['query', { ...grads, gradB: [[1]] }]])),
  ],
  [
    'AdamW.step: lr must be a finite number from 0 to 3.4e+38, got 1e+39',
    RangeError,
    () => new AdamW(adapters).step(new Map([['query', grads]]), 1e39),
  ],
  [
    'AdamW.step: lr must be a finite number from 0 to 3.4e+38, got NaN',
    RangeError,
    () => new AdamW(adapters).step(new Map([['query', grads]]), Number.NaN),
  ],
  [
    'SGD: momentum must be a finite number of at least 0 and below 1, got 1',
    RangeError,
    () => new SGD(adapters, { momentum: 1 }),
  ],
  [
    'LRSchedulers.linear: step must be a finite number, got NaN',
    RangeError,
    () => LRSchedulers.linear(1, Number.NaN, 10),
  ],
  [
    'LRSchedulers.cosine: totalSteps must be a finite number of at least 0, got undefined',
    TypeError,
    () => LRSchedulers.cosine(1, 1, untyped(undefined)),
  ],
  [
    'LRSchedulers.constant: baseLR must be a finite number of at least 0, got -0.1',
    RangeError,
    () => LRSchedulers.constant(-0.1),
  ],
  [
    'LRSchedulers.cosineWarmRestarts: restartPeriod must be a finite number above 0, got 0',
    RangeError,
    () => LRSchedulers.cosineWarmRestarts(1, 1, 1, { restartPeriod: 0 }),
  ],
  [
    'LRSchedulers.cosineWarmRestarts: restartMultiplier must be an integer of at least 1, got 0.5',
    RangeError,
    () => LRSchedulers.cosineWarmRestarts(1, 1, 1, { restartMultiplier: 0.5 }),
  ],
  [
    'LRSchedulers.exponential: gamma must be a finite number of at least 0, got -1',
    RangeError,
    () => LRSchedulers.exponential(1, 1, 1, { gamma: -1 }),
  ],
  [
    'LRSchedulers.warmupCosine: warmupSteps must be a finite number of at least 0, got -1',
    RangeError,
    () => LRSchedulers.warmupCosine(1, 1, 1, { warmupSteps: -1 }),
  ],
  [
    'LRSchedulers.oneCycle: maxLR must be a finite number of at least 0, got Infinity',
    RangeError,
    () => LRSchedulers.oneCycle(1, 1, 1, { maxLR: Infinity }),
  ],
  [
    'LRSchedulers.cosine: minLR must be at most baseLR (0.1), got 0.2',
    RangeError,
    () => LRSchedulers.cosine(0.1, 1, 10, { minLR: 0.2 }),
  ],
  [
    'LRSchedulers.warmupCosine: minLR must be a finite number of at least 0, got -1',
    RangeError,
    () => LRSchedulers.warmupCosine(0.1, 1, 10, { minLR: -1 }),
  ],
  [
    'LRSchedulers.cosineWarmRestarts: minLR must be at most baseLR (0.1), got 0.2',
    RangeError,
    () => LRSchedulers.cosineWarmRestarts(0.1, 1, 10, { minLR: 0.2 }),
  ],
  [
    'LRSchedulers.cosineWarmRestarts: peakDecay must be a finite number from 0 to 1, got 1.5',
    RangeError,
    () => LRSchedulers.cosineWarmRestarts(1, 1, 1, { peakDecay: 1.5 }),
  ],
  [
    'LRSchedulers.oneCycle: pctStart must be a finite number from 0 to 1, got 30',
    RangeError,
    () => LRSchedulers.oneCycle(1, 1, 1, { pctStart: 30 }),
  ],
  [
    'LRSchedulers.oneCycle: divFactor must be a finite number of at least 1, got 0',
    RangeError,
    () => LRSchedulers.oneCycle(1, 1, 1, { divFactor: 0 }),
  ],
  [
    'LRSchedulers.oneCycle: finalDiv must be a finite number of at least 1, got 0.5',
    RangeError,
    () => LRSchedulers.oneCycle(1, 1, 1, { finalDiv: 0.5 }),
  ],
  [
    "LRSchedulers.oneCycle: anneal must be 'linear' | 'cosine', got \"cos\"",
    RangeError,
    () => LRSchedulers.oneCycle(1, 1, 1, { anneal: untyped('cos') }),
  ],
  [
    'LRSchedulers.polynomial: power must be a finite number above 0, got 0',
    RangeError,
    () => LRSchedulers.polynomial(1, 1, 1, { power: 0 }),
  ],
  [
    'LRSchedulers.polynomial: minLR must be at most baseLR (1), got 2',
    RangeError,
    () => LRSchedulers.polynomial(1, 1, 1, { minLR: 2 }),
  ],
  [
    'LRSchedulers.polynomial: options must be an object, got 2',
    TypeError,
    () => LRSchedulers.polynomial(1, 1, 1, untyped(2)),
  ],
  [
    'LRSchedulers.warmupLinear: warmupSteps must be a finite number of at least 0, got NaN',
    RangeError,
    () => LRSchedulers.warmupLinear(1, 1, 1, { warmupSteps: Number.NaN }),
  ],
  [
    'LRSchedulers.warmupLinear: warmupOffset must be a finite number of at least 0, got -1',
    RangeError,
    () => LRSchedulers.warmupLinear(1, 1, 1, { warmupOffset: -1 }),
  ],
  [
    'LRSchedulers.inverseSqrt: warmupSteps must be a finite number of at least 0, got "10"',
    TypeError,
    () => LRSchedulers.inverseSqrt(1, 1, 1, { warmupSteps: untyped('10') }),
  ],
  [
    'LRSchedulers.inverseSqrt: step must be a finite number, got Infinity',
    RangeError,
    () => LRSchedulers.inverseSqrt(1, Infinity),
  ],
  [
    'LRSchedulers.warmupStableDecay: totalSteps must be a finite number of at least 0, got undefined',
    TypeError,
    () => LRSchedulers.warmupStableDecay(1, 1, untyped(undefined)),
  ],
  [
    'LRSchedulers.warmupStableDecay: decaySteps must be a finite number of at least 0, got -1',
    RangeError,
    () => LRSchedulers.warmupStableDecay(1, 1, 1, { decaySteps: -1 }),
  ],
  [
    "LRSchedulers.warmupStableDecay: decayType must be 'linear' | 'cosine' | '1-sqrt', got \"sqrt\"",
    RangeError,
    () => LRSchedulers.warmupStableDecay(1, 1, 1, { decayType: untyped('sqrt') }),
  ],
  [
    'LRSchedulers.warmupStableDecay: minLR must be at most baseLR (1), got 2',
    RangeError,
    () => LRSchedulers.warmupStableDecay(1, 1, 1, { minLR: 2 }),
  ],
  [
    'LRSchedulers.step: stepSize must be a finite number above 0, got 0',
    RangeError,
    () => LRSchedulers.step(1, 1, 1, { stepSize: 0 }),
  ],
  [
    'LRSchedulers.multiStep: gamma must be a finite number of at least 0, got -0.1',
    RangeError,
    () => LRSchedulers.multiStep(1, 1, 1, { gamma: -0.1 }),
  ],
  [
    'LRSchedulers.multiStep: milestones must be an array, got 30',
    TypeError,
    () => LRSchedulers.multiStep(1, 1, 1, { milestones: untyped(30) }),
  ],
  [
    'LRSchedulers.multiStep: milestones[1] must be a finite number of at least 0, got -3',
    RangeError,
    () => LRSchedulers.multiStep(1, 1, 1, { milestones: [1, -3] }),
  ],
  [
    'LRSchedulers.multiStep: totalSteps must be a finite number of at least 0, got undefined',
    TypeError,
    () => LRSchedulers.multiStep(1, 1, untyped(undefined)),
  ],
  ['sequence: parts must be an array, got undefined', TypeError, () => sequence(untyped(undefined))],
  ['sequence: parts is empty', RangeError, () => sequence([])],
  ['sequence: parts[0] must be an object, got a function', TypeError, () => sequence([untyped(LRSchedulers.cosine)])],
  [
    'sequence: parts[0].schedule must be a function, got "cosine"',
    TypeError,
    () => sequence([{ schedule: untyped('cosine'), steps: 1 }]),
  ],
  [
    'sequence: parts[1].steps must be a finite number of at least 0, got -1',
    RangeError,
    () => sequence([constant, { ...constant, steps: -1 }]),
  ],
  [
    'sequence: baseLR must be a finite number of at least 0, got NaN',
    RangeError,
    () => sequence([constant])(Number.NaN, 1),
  ],
  [
    'sequence: step must be a finite number, got undefined',
    TypeError,
    () => sequence([constant])(1, untyped(undefined)),
  ],
  [
    'sequence: rate of parts[1] must be a finite number of at least 0, got NaN',
    RangeError,
    () => sequence([constant, { schedule: () => Number.NaN, steps: 1 }])(1, 1),
  ],
  [
    'ReduceLROnPlateau: lr must be a finite number of at least 0, got undefined',
    TypeError,
    () => new ReduceLROnPlateau(untyped({})),
  ],
  [
    "ReduceLROnPlateau: mode must be 'min' | 'max', got \"auto\"",
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1, mode: untyped('auto') }),
  ],
  [
    'ReduceLROnPlateau: factor must be a finite number of at least 0 and below 1, got 1',
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1, factor: 1 }),
  ],
  [
    'ReduceLROnPlateau: patience must be an integer of at least 0, got 1.5',
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1, patience: 1.5 }),
  ],
  [
    "ReduceLROnPlateau: thresholdMode must be 'rel' | 'abs', got \"relative\"",
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1, thresholdMode: 'relative' as 'rel' }),
  ],
  [
    'ReduceLROnPlateau: threshold must be a finite number of at least 0, got -1',
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1, threshold: -1 }),
  ],
  [
    'ReduceLROnPlateau: cooldown must be an integer of at least 0, got -1',
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1, cooldown: -1 }),
  ],
  [
    'ReduceLROnPlateau: minLR must be a finite number from 0 to 1, got 2',
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1, minLR: 2 }),
  ],
  [
    'ReduceLROnPlateau.step: metric must be a finite number, got NaN',
    RangeError,
    () => new ReduceLROnPlateau({ lr: 1 }).step(Number.NaN),
  ],
  [
    'ReduceLROnPlateau.loadStateDict: state must be an object, got null',
    TypeError,
    () => new ReduceLROnPlateau({ lr: 1 }).loadStateDict(untyped(null)),
  ],
  [
    'readJsonl: source must be a path, a stream, a Blob or a Response, got undefined',
    TypeError,
    () => readJsonl(untyped(undefined)),
  ],
  [
    "readJsonl: onError must be 'throw' | 'skip', got \"ignore\"",
    RangeError,
    () => readJsonl('x', { onError: untyped('ignore') }),
  ],
];

const nonNumbers: Row[] = [
  ['mse: predictions[0][1] must be a number, got null', TypeError, () => LossComputer.mse(untyped([[1, null]]), one)],
  [
    'addPenaltyGradient: grads.get("query").gradB[0][0] must be a number, got "1"',
    TypeError,
    () => new EWCManager().addPenaltyGradient(adapters, new Map([['query', { ...grads, gradB: untyped([['1', 1]]) }]])),
  ],
  [
    'AdamW: adapters.get("query").loraB[0][0] must be a number, got null',
    TypeError,
    () => new AdamW(new Map([['query', { ...adapter, loraB: untyped([[null, 1]]) }]])),
  ],
  [
    'BatchGenerator: data[0].outputEmb[1] must be finite, got NaN',
    RangeError,
    () => new BatchGenerator([{ inputEmb: [1], outputEmb: [1, Number.NaN] }]),
  ],
  [
    'computeFisher: gradients of data[0] for "query" must be an object, got undefined',
    TypeError,
    () => new EWCManager().computeFisher(adapters, data, { gradients: untyped(() => undefined) }),
  ],
  [
    'computeFisher: options must be an object, got null',
    TypeError,
    () => new EWCManager().computeFisher(adapters, data, untyped(null)),
  ],
  [
    'contrastive: negatives must be an array, got a function',
    TypeError,
    () =>
      LossComputer.contrastive(
        one,
        one,
        untyped(() => 1),
      ),
  ],
  ['Cannot recompute segment __proto__', RangeError, () => new GradientCheckpointer().recompute(untyped('__proto__'))],
  [
    'LoRAAdapter.from: adapter.loraA[0][0] must be finite, got Infinity',
    RangeError,
    () => LoRAAdapter.from({ ...adapter, loraA: [[1e300], [1]] }),
  ],
  [
    'AdamW.step: grads have norm 1e+30, whose square float32 cannot hold',
    RangeError,
    () => new AdamW(adapters).step(new Map([['query', { gradA: [[1e30], [0]], gradB: [[0, 0]] }]])),
  ],
  ['mse: predictions[0][0] must be a number, got "1"', TypeError, () => LossComputer.mse(untyped([['1', '2']]), one)],
  ['mse: predictions[0][0] must be a number, got 1n', TypeError, () => LossComputer.mse(untyped([[1n]]), one)],
  [
    'mse: predictions[0][0] must be a number, got 1n',
    TypeError,
    () => LossComputer.mse(untyped([BigInt64Array.of(1n)]), one),
  ],
  [
    "contrastive: negativeMode must be 'explicit' | 'own' | 'inBatch+explicit' | 'inBatch+own', got \"all\"",
    RangeError,
    () => LossComputer.contrastive(rows, rows, rows, { negativeMode: untyped('all') }),
  ],
  [
    'contrastive: negatives has 1 row, anchors has 2',
    RangeError,
    () => LossComputer.contrastive(rows, rows, one, { negativeMode: 'own' }),
  ],
  ['mse: weights has 1 row, predictions has 2', RangeError, () => LossComputer.mse(rows, rows, { weights: [1] })],
  [
    'mse: weights[1] must not be negative, got -1',
    RangeError,
    () => LossComputer.mse(rows, rows, { weights: [1, -1] }),
  ],
  [
    "mse: reduction must be 'mean' | 'sum', got \"none\"",
    RangeError,
    () => LossComputer.mse(rows, rows, { reduction: untyped('none') }),
  ],
  [
    'crossEntropy: classWeights has 1 row, predictions[0] has 2',
    RangeError,
    () => LossComputer.crossEntropy(rows, [0, 1], { classWeights: [1] }),
  ],
  [
    "triplet: distance must be 'euclidean' | 'cosine', got \"manhattan\"",
    RangeError,
    () => LossComputer.triplet(rows, rows, rows, { distance: untyped('manhattan') }),
  ],
  ['mse: options must be an object, got null', TypeError, () => LossComputer.mse(one, one, untyped(null))],
  [
    'triplet: options must be an object, got 0.5',
    TypeError,
    () => LossComputer.triplet(rows, rows, rows, untyped(0.5)),
  ],
  [
    'contrastive: ids must be an array of strings or numbers, got an object',
    TypeError,
    () => LossComputer.contrastive(rows, rows, null, { ids: untyped({ length: 2 }) }),
  ],
  [
    'combine: losses[0].loss.components.a must be a finite number, got NaN',
    RangeError,
    () => LossComputer.combine([{ loss: { loss: 1, components: { a: Number.NaN } }, weight: 1 }]),
  ],
  ['AdamW: eps must be a finite number of at least 1.2e-38, got 0', RangeError, () => new AdamW(adapters, { eps: 0 })],
  ['LoRAAdapter.from: adapter must be an object, got 3n', TypeError, () => LoRAAdapter.from(untyped(3n))],
];

const ewc: Row[] = [
  ['computeFisher: data is empty', RangeError, () => new EWCManager().computeFisher(adapters, [])],
  [
    'computeFisher: data must be an array, got undefined',
    TypeError,
    () => new EWCManager().computeFisher(adapters, untyped(undefined)),
  ],
  [
    'computeFisher: adapters must be a Map by adapter name, got an object',
    TypeError,
    () => new EWCManager().computeFisher(untyped({}), data),
  ],
  [
    'computeFisher: data[0].inputEmb has 1 entry, adapters.get("query").loraA has 2 rows',
    RangeError,
    () => new EWCManager().computeFisher(adapters, [{ inputEmb: [1], outputEmb: [1, 2] }]),
  ],
  [
    'computeFisher: data[0].outputEmb must be a Float32Array, Float64Array or number[], got undefined',
    TypeError,
    () => new EWCManager().computeFisher(adapters, untyped([{ inputEmb: [1, 2] }])),
  ],
  [
    'computeFisher: data[0].inputEmb[1] must be finite, got NaN',
    RangeError,
    () => new EWCManager().computeFisher(adapters, [{ inputEmb: [1, Number.NaN], outputEmb: [1, 2] }]),
  ],
  [
    'computeFisher: gradients must be a function, got 3',
    TypeError,
    () => new EWCManager().computeFisher(adapters, data, { gradients: untyped(3) }),
  ],
  [
    'computeFisher: gradients of data[0] for "query": gradA has 1 row, the adapter has 2',
    RangeError,
    () => new EWCManager().computeFisher(adapters, data, { gradients: () => ({ ...grads, gradA: [[1]] }) }),
  ],
  [
    'computeFisher: gradients of data[0] for "query": gradB[0][1] must be finite, got NaN',
    RangeError,
    () => new EWCManager().computeFisher(adapters, data, { gradients: () => ({ ...grads, gradB: [[1, Number.NaN]] }) }),
  ],
  [
    'computeFisher: adapters.get("query").scaling must be a finite number, got undefined',
    TypeError,
    () => new EWCManager().computeFisher(new Map([['query', untyped({ ...adapter, scaling: undefined })]]), data),
  ],
];

const lora = (values: object): Map<string, Adapter> => new Map([['query', untyped({ ...adapter, ...values })]]);

const portable: Row[] = [
  [
    'AdamW: adapters.get("query").loraA[1] must be a Float32Array, Float64Array or number[], got a Uint8Array',
    TypeError,
    () => new AdamW(lora({ loraA: [[1], Uint8Array.of(2)] })),
  ],
  [
    'SGD: adapters.get("query").loraB[0] must be a Float32Array, Float64Array or number[], got an Int32Array',
    TypeError,
    () => new SGD(lora({ loraB: [Int32Array.of(1, 2)] })),
  ],
  [
    'AdamW: adapters.get("query").loraB[0] is frozen, and would have to be written to',
    TypeError,
    () => new AdamW(lora({ loraB: [Object.freeze([1, 2])] })),
  ],
  [
    'AdamW: adapters.get("query").loraA[1][0] must be finite, got NaN',
    RangeError,
    () => new AdamW(lora({ loraA: [[1], [Number.NaN]] })),
  ],
  [
    'SGD: adapters.get("query").loraA[1][0] must be finite, got Infinity',
    RangeError,
    () => new SGD(lora({ loraA: [Float32Array.of(1), Float32Array.of(Infinity)] })),
  ],
  [
    'LoRAAdapter.toSafetensors: adapters must be a Map by adapter name, got an object',
    TypeError,
    () => LoRAAdapter.toSafetensors(untyped({ query: adapter })),
  ],
  ['LoRAAdapter.toSafetensors: adapters is empty', RangeError, () => LoRAAdapter.toSafetensors(new Map())],
  [
    'LoRAAdapter.toSafetensors: the name of an adapter must be a string, got 3',
    TypeError,
    () => LoRAAdapter.toSafetensors(new Map([[untyped(3), adapter]])),
  ],
  [
    'LoRAAdapter.toSafetensors: the name "\ud800" has half of a surrogate pair',
    RangeError,
    () => LoRAAdapter.toSafetensors(new Map([['\ud800', adapter]])),
  ],
  [
    'LoRAAdapter.toSafetensors: adapters.get("query").scaling must be a finite number, got undefined',
    TypeError,
    () => LoRAAdapter.toSafetensors(lora({ scaling: undefined })),
  ],
  [
    'LoRAAdapter.toSafetensors: adapters.get("query").scaling times rank must be a finite number, got Infinity',
    RangeError,
    () => LoRAAdapter.toSafetensors(lora({ loraA: [[1, 1]], loraB: [[1], [1]], scaling: 1e308 })),
  ],
  [
    'LoRAAdapter.toSafetensors: adapters.get("query").loraA[1][0] must be finite, got NaN',
    RangeError,
    () => LoRAAdapter.toSafetensors(lora({ loraA: [[1], [Number.NaN]] })),
  ],
  [
    'LoRAAdapter.toSafetensors: adapters.get("query").loraB[0][1] must be finite, got Infinity',
    RangeError,
    () => LoRAAdapter.toSafetensors(lora({ loraB: [[1, 1e39]] })),
  ],
  [
    'LoRAAdapter.fromSafetensors: bytes must be a Uint8Array, got an ArrayBuffer',
    TypeError,
    () => LoRAAdapter.fromSafetensors(untyped(new ArrayBuffer(8))),
  ],
  [
    'LoRAAdapter.fromSafetensors: config must be an object, got null',
    TypeError,
    () => LoRAAdapter.fromSafetensors(LoRAAdapter.toSafetensors(adapters), untyped(null)),
  ],
  ...(
    [
      ['r must be an integer of at least 1, got "1"', { r: '1' }],
      ['lora_alpha must be a finite number, got "8"', { lora_alpha: '8' }],
      ['use_rslora must be true or false, got 1', { use_rslora: 1 }],
      ['rank_pattern must be an object, got an array of 0', { rank_pattern: [] }],
      ['alpha_pattern.q must be a finite number, got null', { alpha_pattern: { q: null } }],
    ] as const
  ).map(
    ([message, config]): Row => [
      `LoRAAdapter.fromSafetensors: config.${message}`,
      TypeError,
      () => LoRAAdapter.fromSafetensors(LoRAAdapter.toSafetensors(adapters), untyped(config)),
    ],
  ),
];

describe.each([
  ['losses', losses],
  ['options', options],
  ['ewc', ewc],
  ['what is no number', nonNumbers],
  ['portable state', portable],
])('%s', (_, table) => {
  it.each(table)('%s', (message, kind, call) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });
});

describe('a refusal changes nothing', () => {
  const taught = (): EWCManager => {
    const manager = new EWCManager();
    manager.computeFisher(adapters, data);
    return manager;
  };
  const state = (): Record<string, Record<string, unknown>> => JSON.parse(JSON.stringify(taught().export()));
  const imports: [string, (good: ReturnType<typeof state>) => unknown][] = [
    ['import: data must be an object, got null', () => null],
    ['import: data must be an object, got "{}"', () => '{}'],
    ['import: fisherInfo must be an object, got an array of 0', good => ({ ...good, fisherInfo: [] })],
    ['import: fisherInfo.query must be an object, got 3', good => ({ ...good, fisherInfo: { query: 3 } })],
    ['import: fisherInfo has "query", optimalParams lacks it', good => ({ ...good, optimalParams: {} })],
    ['import: optimalParams has "query", fisherInfo lacks it', good => ({ ...good, fisherInfo: {} })],
    [
      'import: fisherInfo.query.fisherA[1][0] must be finite, got Infinity',
      good => ({ ...good, fisherInfo: { query: { fisherA: [[1], [Infinity]], fisherB: [[1, 1]] } } }),
    ],
    [
      'import: fisherInfo.query.fisherA[0][0] must not be negative, got -1',
      good => ({ ...good, fisherInfo: { query: { fisherA: [[-1], [1]], fisherB: [[1, 1]] } } }),
    ],
    [
      'import: fisherInfo.query.fisherA[1] has 2 entries, fisherInfo.query.fisherA[0] has 1',
      good => ({ ...good, fisherInfo: { query: { fisherA: [[1], [1, 1]], fisherB: [[1, 1]] } } }),
    ],
    [
      'import: fisherInfo.query.fisherB is 2 × 2, expected 1 × 2',
      good => ({
        ...good,
        fisherInfo: {
          query: {
            fisherA: [[1], [1]],
            fisherB: [
              [1, 1],
              [1, 1],
            ],
          },
        },
      }),
    ],
    [
      'import: fisherInfo.query.fisherA is 2 × 1, expected 1 × 1',
      good => ({ ...good, optimalParams: { query: { loraA: [[1]], loraB: [[1, 1]] } } }),
    ],
    [
      'import: optimalParams.query.loraB[0][0] must be a number, got "1"',
      good => ({ ...good, optimalParams: { query: { loraA: [[1], [1]], loraB: [['1', 1]] } } }),
    ],
    [
      'import: config.lambda must be a finite number of at least 0, got -1',
      good => ({ ...good, config: { lambda: -1 } }),
    ],
    [
      'import: config.sampleSize must be an integer of at least 1 or Infinity, got 0',
      good => ({ ...good, config: { sampleSize: 0 } }),
    ],
    [
      'import: stats.tasksLearned must be an integer of at least 0, got 0.5',
      good => ({ ...good, stats: { tasksLearned: 0.5, totalPenalties: 0 } }),
    ],
  ];
  it.each(imports)('%s', (message, spoil) => {
    const manager = taught();
    const before = manager.export();
    expect(() => manager.import(spoil(state()))).toThrow(message);
    expect(manager.export()).toEqual(before);
  });

  it('of a second computeFisher', () => {
    const manager = taught();
    const before = manager.export();
    const two = new Map([...adapters, ['later', { ...adapter, loraA: [[1], [Number.NaN]] }]]);
    expect(() => manager.computeFisher(two, data)).toThrow(
      'computeFisher: adapters.get("later").loraA[1][0] must be finite, got NaN',
    );
    expect(manager.export()).toEqual(before);
    const online = new EWCManager({ online: true });
    online.computeFisher(adapters, data);
    const wider = new Map([
      [
        'query',
        {
          loraA: [
            [1, 1],
            [1, 1],
          ],
          loraB: rows,
          scaling: 1,
        },
      ],
    ]);
    expect(() => online.computeFisher(wider, data)).toThrow(
      'computeFisher: fisherInfo.get("query").fisherA[0] has 1 entry, expected 2',
    );
    expect(online.export()).toEqual(
      before.config.online ? before : { ...before, config: { ...before.config, online: true } },
    );
  });

  it('of the penalty and its gradient', () => {
    const manager = taught();
    const otherShape = new Map([['query', { loraA: [[1], [1], [1]], loraB: [[1, 1, 1]], scaling: 1 }]]);
    expect(() => manager.computePenalty(otherShape)).toThrow(
      'computePenalty: adapters.get("query").loraA is 3 × 1, the remembered one is 2 × 1',
    );
    const broken = new Map([['query', { ...structuredClone(adapter), loraB: [[1, Number.NaN]] }]]);
    for (const call of [
      () => manager.computePenalty(broken),
      () => manager.penaltyGradient(broken),
      () => manager.applyGradient(broken, 0.1),
      () => manager.addPenaltyGradient(broken, new Map([['query', grads]])),
    ]) {
      expect(call).toThrow('adapters.get("query").loraB[0][1] must be finite, got NaN');
    }
    const withNull = new Map([['query', { ...structuredClone(adapter), loraB: untyped([[null, 1]]) }]]);
    expect(() => manager.computePenalty(withNull)).toThrow(
      'computePenalty: adapters.get("query").loraB[0][0] must be a number, got null',
    );
    expect(broken.get('query')!.loraA).toEqual(adapter.loraA);
    expect(grads).toEqual({ gradA: [[1], [1]], gradB: [[1, 1]] });
    const bad = { gradA: [[1], [1]], gradB: [[1, Infinity]] };
    expect(() => manager.addPenaltyGradient(adapters, new Map([['query', bad]]))).toThrow(
      'grads.get("query").gradB[0][1] must be finite, got Infinity',
    );
    expect(bad.gradA).toEqual([[1], [1]]);
    expect(() => manager.applyGradient(adapters, -1)).toThrow(
      'applyGradient: learningRate must be a finite number of at least 0, got -1',
    );
    expect(() => manager.addPenaltyGradient(adapters, new Map([['value', grads]]))).toThrow(
      'addPenaltyGradient: grads has "value", which is no adapter',
    );
    expect(manager.stats.totalPenalties).toBe(0);
  });

  it('of gradients in backward that do not fit the forward', () => {
    const lora = LoRAAdapter.from(adapter);
    lora.forward(rows);
    expect(() => lora.backward(one)).toThrow('backward: gradRows has 1 row, the last forward has 2');
    expect(() => lora.backward(withNaN)).toThrow('backward: gradRows[1][1] must be finite, got NaN');
    expect(lora.backward(rows).gradA).toHaveLength(2);
  });

  it('of a step of an optimizer whose Map has grown', () => {
    const growing = new Map([['query', adapter]]);
    const optimizer = new AdamW(growing);
    growing.set('later', structuredClone(adapter));
    expect(() => optimizer.step(new Map([['later', grads]]))).toThrow(
      'AdamW.step: adapter "later" was added or replaced after the optimizer was made',
    );
  });

  it('of a step of an optimizer whose adapter was replaced', () => {
    const replaced = new Map([['query', structuredClone(adapter)]]);
    const optimizer = new SGD(replaced);
    replaced.set('query', structuredClone(adapter));
    expect(() => optimizer.step(new Map([['query', grads]]))).toThrow('adapter "query" was added or replaced');
  });

  it('of typed rows in several buffers', () => {
    const manager = taught();
    const loose = new Map([
      ['query', { loraA: [Float32Array.of(Number.NaN), Float32Array.of(1)], loraB: [[1, 2]], scaling: 1 }],
    ]);
    for (const call of [() => manager.applyGradient(loose, 0.1), () => manager.penaltyGradient(loose)]) {
      expect(call).toThrow('adapters.get("query").loraA[0][0] must be finite, got NaN');
    }
    expect(() => manager.computeFisher(loose, data, { gradients: () => grads })).toThrow('loraA[0][0] must be finite');
  });

  it('of gradients that overflow float32 where the loss does not', () => {
    expect(() => LossComputer.mse([[1e39]], [[0]], { gradients: true })).toThrow('mse: the result overflows');
    expect(() => LossComputer.contrastive(rows, rows, null, { temperature: 1e-310 })).toThrow(
      'temperature is too small',
    );
  });

  it('of a generator whose batch size became invalid later', () => {
    const generator = new BatchGenerator(data);
    generator.config.batchSize = 0;
    expect(() => generator.next()).toThrow('BatchGenerator.next: batchSize must be an integer of at least 1, got 0');
  });
});

describe('process', () => {
  const pair = { input: 'a', output: 'b' };
  const bad: [string, typeof TypeError | typeof RangeError, unknown][] = [
    ['DataPreprocessor.process: examples must be an array or an (async) iterable, got undefined', TypeError, undefined],
    ['DataPreprocessor.process: examples must be an array or an (async) iterable, got "text"', TypeError, 'text'],
    ['DataPreprocessor.process: examples[0] must be an object, got "text"', TypeError, ['text']],
    [
      'DataPreprocessor.process: examples[0] must be an object, got undefined',
      TypeError,
      Object.assign(new Array(2), { 1: pair }),
    ],
    [
      'DataPreprocessor.process: examples[1].input must be a string, got undefined',
      TypeError,
      [{ input: 'a', output: 'b' }, { output: 'b' }],
    ],
    [
      'DataPreprocessor.process: examples[0].quality must be a finite number, got NaN',
      RangeError,
      [{ input: 'a', output: 'b', quality: Number.NaN }],
    ],
    [
      'DataPreprocessor.process: examples[0].quality must be a finite number, got "high"',
      TypeError,
      new Set([{ input: 'a', output: 'b', quality: 'high' }]),
    ],
  ];
  it.each(bad)('%s', async (message, kind, examples) => {
    const preprocessor = new DataPreprocessor();
    const result = preprocessor.process(untyped(examples));
    await expect(result).rejects.toBeInstanceOf(kind);
    await expect(result).rejects.toThrow(message);
    expect(preprocessor.getStats()).toMatchObject({ processed: 0, vocabSize: 0, cacheSize: 0 });
  });

  const embedders: [string, unknown][] = [
    ['DataPreprocessor.process: embedder: its result must be an array, got undefined', undefined],
    ['DataPreprocessor.process: embedder returned 1 row for 2 texts', [[1]]],
    ['DataPreprocessor.process: embedder: row 1 ("b") has 1 entry, expected 2', [[1, 2], [3]]],
    ['DataPreprocessor.process: embedder: row 1 ("b")[0] must be finite, got NaN', [[1], [Number.NaN]]],
    ['DataPreprocessor.process: embedder: row 0 ("a") is empty', [[], []]],
    [
      'DataPreprocessor.process: embedder: row 0 ("a") must be a Float32Array, Float64Array or number[], got undefined',
      new Array(2),
    ],
    ['DataPreprocessor.process: embedder: row 1 ("b")[0] must be a number, got undefined', [[1], new Array(1)]],
    [
      'DataPreprocessor.process: embedder: row 0 ("a") must be a Float32Array, Float64Array or number[], got null',
      [null, null],
    ],
  ];
  it.each(embedders)('%s', async (message, returned) => {
    const preprocessor = new DataPreprocessor({ embedder: () => untyped(returned) });
    await expect(preprocessor.process([{ input: 'a', output: 'b' }])).rejects.toThrow(message);
    expect(preprocessor.getStats()).toMatchObject({ processed: 0, vocabSize: 0, cacheSize: 0 });
  });

  const calls: [string, unknown, unknown][] = [
    ['examples must be an array or an (async) iterable, got 3', 3, {}],
    ['options must be an object, got 3', [], 3],
    ['options must be an object, got null', [], null],
    ['signal must be an AbortSignal, got an object', [], { signal: {} }],
    ['signal must be an AbortSignal, got null', [], { signal: null }],
    ['onProgress must be a function, got true', [], { onProgress: true }],
  ];
  it.each(calls)('process and stream: %s', async (message, examples, options) => {
    const preprocessor = new DataPreprocessor();
    const processed = preprocessor.process(untyped(examples), untyped(options));
    await expect(processed).rejects.toThrow(new TypeError(`DataPreprocessor.process: ${message}`));
    const stream = (): unknown => preprocessor.stream(untyped(examples), untyped(options));
    expect(stream).toThrow(new TypeError(`DataPreprocessor.stream: ${message}`));
  });

  it('DataPreprocessor.stream: examples[0].input must be a string, got 3', async () => {
    const rows = new DataPreprocessor().stream(untyped([{ input: 3 }]));
    await expect(rows.next()).rejects.toThrow('DataPreprocessor.stream: examples[0].input must be a string, got 3');
  });

  it('refuses rows of an embedder function that do not have the given embeddingDim', async () => {
    const preprocessor = new DataPreprocessor({ embedder: texts => texts.map(() => [1, 2]), embeddingDim: 3 });
    await expect(preprocessor.process([{ input: 'a', output: 'b' }])).rejects.toThrow(
      'row 0 ("a") has 2 entries, expected 3',
    );
  });
});
