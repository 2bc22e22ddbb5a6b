import type { NegativeMining } from '../batch-generator/negative-mining.js';
import type { BatchGeneratorOptions } from '../batch-generator/options.js';
import type { Shard } from '../batch-generator/shard.js';
import type { ContinualMetricsOptions } from '../continual-metrics.js';
import type { DataPreprocessorOptions, ProcessOptions } from '../data-preprocessor/options.js';
import type { AverageUpdatesOptions } from '../distributed/average-updates.js';
import type { FisherOptions } from '../ewc-manager/fisher-options.js';
import type { EWCOptions } from '../ewc-manager/options.js';
import type { ExportOptions, ImportOptions } from '../ewc-manager/provenance.js';
import type { ChainOptions, GradientCheckpointerOptions } from '../gradient-checkpointer/options.js';
import type { SplitJsonlOptions } from '../jsonl/split.js';
import type { ReadJsonlOptions } from '../jsonl.js';
import type { KeepBestOptions } from '../keep-best.js';
import type { LoRAAdapterOptions } from '../lora-adapter.js';
import type { ContrastiveOptions } from '../loss-computer/contrastive.js';
import type { CosineEmbeddingOptions } from '../loss-computer/cosine-embedding.js';
import type { CrossEntropyOptions } from '../loss-computer/cross-entropy.js';
import type { MseOptions } from '../loss-computer/mse.js';
import type { TripletOptions } from '../loss-computer/triplet.js';
import type { CosineWarmRestartsOptions, OneCycleOptions } from '../lr-schedulers/cycles.js';
import type { CosineOptions, PolynomialOptions } from '../lr-schedulers/decay.js';
import type { ExponentialOptions, MultiStepOptions, StepOptions } from '../lr-schedulers/factors.js';
import type { ReduceLROnPlateauOptions } from '../lr-schedulers/reduce-on-plateau.js';
import type { SequencePart } from '../lr-schedulers/sequence.js';
import type { WarmupCosineOptions, WarmupOptions, WarmupStableDecayOptions } from '../lr-schedulers/warmup.js';
import type { HardNegativeOptions } from '../mine-hard-negatives.js';
import type { AdamWOptions, SGDOptions } from '../optimizers.js';
import type { EvaluateOptions, SearchOptions } from '../retriever.js';
import type { NgramEmbedderOptions } from '../text/ngram-embedder.js';
import type { SplitPairsOptions } from '../text/split-pairs.js';

/**
 * What an option may hold, as far as it is checked by its name. A `FLAG` is true or false. Flags of the original are
 * `ANY`: it accepts any value as true or false.
 */
type Kind = typeof ANY | typeof FLAG;

const ANY = 1;
const FLAG = 2;

const SGD_OPTIONS = { lr: ANY, weightDecay: ANY, maxGradNorm: ANY } as const;
const REDUCTION = { weights: ANY, reduction: ANY, perRow: FLAG, gradients: FLAG } as const;
const WARMUP = { warmupSteps: ANY, warmupOffset: ANY } as const;
const CHAIN = { strategy: ANY, checkpointSegments: ANY, slots: ANY, memoryBudget: ANY, determinism: ANY } as const;

/** The options of each call that takes some. */
interface OptionsOf {
  DataPreprocessor: DataPreprocessorOptions;
  BatchGenerator: BatchGeneratorOptions;
  EWCManager: EWCOptions;
  GradientCheckpointer: GradientCheckpointerOptions;
  'LRSchedulers.constant': object;
  'LRSchedulers.linear': object;
  'LRSchedulers.cosine': CosineOptions;
  'LRSchedulers.cosineWarmRestarts': CosineWarmRestartsOptions;
  'LRSchedulers.exponential': ExponentialOptions;
  'LRSchedulers.warmupCosine': WarmupCosineOptions;
  'LRSchedulers.oneCycle': OneCycleOptions;
  shard: Shard;
  negativeMining: NegativeMining;
  'DataPreprocessor.process': ProcessOptions;
  'DataPreprocessor.stream': ProcessOptions;
  'LossComputer.contrastive': ContrastiveOptions;
  'LossComputer.triplet': TripletOptions;
  'LossComputer.crossEntropy': CrossEntropyOptions;
  'LossComputer.mse': MseOptions;
  'LossComputer.cosineEmbedding': CosineEmbeddingOptions;
  'EWCManager.export': ExportOptions;
  'EWCManager.import': ImportOptions;
  'EWCManager.computeFisher': FisherOptions<unknown>;
  'GradientCheckpointer.chain': ChainOptions;
  'LRSchedulers.polynomial': PolynomialOptions;
  'LRSchedulers.warmupLinear': WarmupOptions;
  'LRSchedulers.inverseSqrt': WarmupOptions;
  'LRSchedulers.warmupStableDecay': WarmupStableDecayOptions;
  'LRSchedulers.step': StepOptions;
  'LRSchedulers.multiStep': MultiStepOptions;
  sequence: SequencePart;
  ReduceLROnPlateau: ReduceLROnPlateauOptions;
  LoRAAdapter: LoRAAdapterOptions;
  AdamW: AdamWOptions;
  SGD: SGDOptions;
  KeepBest: KeepBestOptions;
  continualMetrics: ContinualMetricsOptions;
  'Retriever.search': SearchOptions;
  'Retriever.evaluate': EvaluateOptions;
  mineHardNegatives: HardNegativeOptions;
  NgramEmbedder: NgramEmbedderOptions;
  splitPairs: SplitPairsOptions;
  averageUpdates: AverageUpdatesOptions;
  readJsonl: ReadJsonlOptions;
  splitJsonl: SplitJsonlOptions;
}

/** The names of the options of each call. An option that is missing here does not compile. */
const OPTIONS: { [Owner in keyof OptionsOf]: Record<keyof OptionsOf[Owner], Kind> } = {
  DataPreprocessor: {
    maxLength: ANY,
    embeddingDim: ANY,
    augmentation: ANY,
    augmentationFactor: ANY,
    qualityThreshold: ANY,
    normalizeEmbeddings: ANY,
    embedder: ANY,
    embedBatchSize: ANY,
    tokenizer: ANY,
    tokens: FLAG,
    deduplicate: FLAG,
    cacheBytes: ANY,
    seed: ANY,
  },
  BatchGenerator: {
    batchSize: ANY,
    shuffle: ANY,
    dropLast: ANY,
    hardNegatives: ANY,
    curriculum: ANY,
    curriculumEpochs: ANY,
    seed: ANY,
    noDuplicates: FLAG,
    duplicatesBy: ANY,
    sampleWeights: ANY,
    shard: ANY,
    negativeMining: ANY,
  },
  EWCManager: {
    lambda: ANY,
    sampleSize: ANY,
    normalize: ANY,
    online: ANY,
    mode: ANY,
    decay: ANY,
    fisher: ANY,
    penalty: ANY,
    seed: ANY,
  },
  GradientCheckpointer: { enabled: ANY, maxStoredActivations: ANY, ...CHAIN },
  'LRSchedulers.constant': {},
  'LRSchedulers.linear': {},
  'LRSchedulers.cosine': { minLR: ANY },
  'LRSchedulers.cosineWarmRestarts': {
    restartPeriod: ANY,
    restartMultiplier: ANY,
    peakDecay: ANY,
    minLR: ANY,
  },
  'LRSchedulers.exponential': { gamma: ANY, stepSize: ANY },
  'LRSchedulers.warmupCosine': { ...WARMUP, minLR: ANY },
  'LRSchedulers.oneCycle': {
    maxLR: ANY,
    pctStart: ANY,
    divFactor: ANY,
    finalDiv: ANY,
    anneal: ANY,
  },

  shard: { rank: ANY, worldSize: ANY, pad: ANY },
  negativeMining: {
    strategy: ANY,
    maxSimilarity: ANY,
    relativeMargin: ANY,
    excludeDuplicates: FLAG,
  },
  'DataPreprocessor.process': { signal: ANY, onProgress: ANY },
  'DataPreprocessor.stream': { signal: ANY, onProgress: ANY },
  'LossComputer.contrastive': {
    temperature: ANY,
    margin: ANY,
    ids: ANY,
    negativeIds: ANY,
    negativeMode: ANY,
    symmetric: FLAG,
    offset: ANY,
    perGroup: FLAG,
    adapters: ANY,
    through: ANY,
    wrt: ANY,
    precision: ANY,
    diagnostics: FLAG,
    ...REDUCTION,
  },
  'LossComputer.triplet': { margin: ANY, distance: ANY, swap: FLAG, diagnostics: FLAG, ...REDUCTION },
  'LossComputer.crossEntropy': {
    labelSmoothing: ANY,
    classWeights: ANY,
    ignoreIndex: ANY,
    diagnostics: FLAG,
    ...REDUCTION,
  },
  'LossComputer.mse': REDUCTION,
  'LossComputer.cosineEmbedding': { margin: ANY, diagnostics: FLAG, ...REDUCTION },
  'EWCManager.export': { adapters: ANY },
  'EWCManager.import': { adapters: ANY, examples: ANY },
  'EWCManager.computeFisher': { gradients: ANY, adapterGradients: ANY, through: ANY },
  'GradientCheckpointer.chain': CHAIN,
  'LRSchedulers.polynomial': { power: ANY, minLR: ANY },
  'LRSchedulers.warmupLinear': WARMUP,
  'LRSchedulers.inverseSqrt': WARMUP,
  'LRSchedulers.warmupStableDecay': {
    ...WARMUP,
    decaySteps: ANY,
    decayType: ANY,
    minLR: ANY,
  },
  'LRSchedulers.step': { gamma: ANY, stepSize: ANY },
  'LRSchedulers.multiStep': { gamma: ANY, milestones: ANY },
  sequence: { schedule: ANY, steps: ANY, opts: ANY },
  ReduceLROnPlateau: {
    lr: ANY,
    mode: ANY,
    factor: ANY,
    patience: ANY,
    threshold: ANY,
    thresholdMode: ANY,
    cooldown: ANY,
    minLR: ANY,
  },
  LoRAAdapter: { dim: ANY, outDim: ANY, rank: ANY, alpha: ANY, seed: ANY },
  AdamW: { ...SGD_OPTIONS, betas: ANY, eps: ANY },
  SGD: { ...SGD_OPTIONS, momentum: ANY },
  KeepBest: { mode: ANY, patience: ANY },
  continualMetrics: { higherIsBetter: FLAG, baseline: ANY },
  'Retriever.search': { precision: ANY },
  'Retriever.evaluate': { at: ANY, seed: ANY, precision: ANY },
  mineHardNegatives: {
    count: ANY,
    range: ANY,
    sampling: ANY,
    maxSimilarity: ANY,
    relativeMargin: ANY,
    seed: ANY,
  },
  NgramEmbedder: { dim: ANY },
  splitPairs: { validation: ANY, test: ANY, by: ANY, seed: ANY },
  averageUpdates: { weights: ANY, maxNormRatio: ANY, method: ANY, accept: ANY },
  readJsonl: { onError: ANY, from: ANY, to: ANY },
  splitJsonl: { rows: ANY },
};

/** A call that takes options, or an option that holds options. */
export type OptionsOwner = keyof OptionsOf;

/** The original's configurations and schedules, which keep or ignore unknown names. */
const LENIENT: ReadonlySet<OptionsOwner> = new Set<OptionsOwner>([
  'DataPreprocessor',
  'BatchGenerator',
  'EWCManager',
  'GradientCheckpointer',
  'LRSchedulers.constant',
  'LRSchedulers.linear',
  'LRSchedulers.cosine',
  'LRSchedulers.cosineWarmRestarts',
  'LRSchedulers.exponential',
  'LRSchedulers.warmupCosine',
  'LRSchedulers.oneCycle',
]);

/** The names of all options. The values tell whether an option is a flag. */
export function optionNames(owner: OptionsOwner): ReadonlyMap<string, boolean> {
  return namesByOwner.get(owner)!;
}

/** Whether an unknown name gives a warning instead of an error. */
export function isLenient(owner: OptionsOwner): boolean {
  return LENIENT.has(owner);
}

const namesByOwner = new Map(
  Object.entries<Record<string, Kind>>(OPTIONS).map(([owner, kinds]) => [
    owner,
    new Map(Object.entries(kinds).map(([name, kind]) => [name, kind === FLAG])),
  ]),
);
