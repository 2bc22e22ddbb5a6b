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

/** The options of each call that takes some. An option that is missing here does not compile. */
const OPTIONS = {
  DataPreprocessor: namesOf<DataPreprocessorOptions>({
    maxLength: ANY,
    embeddingDim: ANY,
    augmentation: ANY,
    augmentationFactor: ANY,
    qualityThreshold: ANY,
    normalizeEmbeddings: ANY,
    embedder: ANY,
    embedBatchSize: ANY,
    tokenizer: ANY,
    deduplicate: FLAG,
    cacheBytes: ANY,
    seed: ANY,
  }),
  BatchGenerator: namesOf<BatchGeneratorOptions>({
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
  }),
  EWCManager: namesOf<EWCOptions>({
    lambda: ANY,
    sampleSize: ANY,
    normalize: ANY,
    online: ANY,
    mode: ANY,
    decay: ANY,
    fisher: ANY,
    penalty: ANY,
    seed: ANY,
  }),
  GradientCheckpointer: namesOf<GradientCheckpointerOptions>({ enabled: ANY, maxStoredActivations: ANY, ...CHAIN }),
  'LRSchedulers.constant': namesOf<object>({}),
  'LRSchedulers.linear': namesOf<object>({}),
  'LRSchedulers.cosine': namesOf<CosineOptions>({ minLR: ANY }),
  'LRSchedulers.cosineWarmRestarts': namesOf<CosineWarmRestartsOptions>({
    restartPeriod: ANY,
    restartMultiplier: ANY,
    peakDecay: ANY,
    minLR: ANY,
  }),
  'LRSchedulers.exponential': namesOf<ExponentialOptions>({ gamma: ANY, stepSize: ANY }),
  'LRSchedulers.warmupCosine': namesOf<WarmupCosineOptions>({ ...WARMUP, minLR: ANY }),
  'LRSchedulers.oneCycle': namesOf<OneCycleOptions>({
    maxLR: ANY,
    pctStart: ANY,
    divFactor: ANY,
    finalDiv: ANY,
    anneal: ANY,
  }),

  shard: namesOf<Shard>({ rank: ANY, worldSize: ANY, pad: ANY }),
  negativeMining: namesOf<NegativeMining>({
    strategy: ANY,
    maxSimilarity: ANY,
    relativeMargin: ANY,
    excludeDuplicates: FLAG,
  }),
  process: namesOf<ProcessOptions>({ signal: ANY, onProgress: ANY }),
  stream: namesOf<ProcessOptions>({ signal: ANY, onProgress: ANY }),
  contrastive: namesOf<ContrastiveOptions>({
    temperature: ANY,
    margin: ANY,
    ids: ANY,
    negativeIds: ANY,
    negativeMode: ANY,
    symmetric: FLAG,
    adapters: ANY,
    through: ANY,
    wrt: ANY,
    precision: ANY,
    diagnostics: FLAG,
    ...REDUCTION,
  }),
  triplet: namesOf<TripletOptions>({ margin: ANY, distance: ANY, swap: FLAG, diagnostics: FLAG, ...REDUCTION }),
  crossEntropy: namesOf<CrossEntropyOptions>({
    labelSmoothing: ANY,
    classWeights: ANY,
    ignoreIndex: ANY,
    diagnostics: FLAG,
    ...REDUCTION,
  }),
  mse: namesOf<MseOptions>(REDUCTION),
  cosineEmbedding: namesOf<CosineEmbeddingOptions>({ margin: ANY, diagnostics: FLAG, ...REDUCTION }),
  'EWCManager.export': namesOf<ExportOptions>({ adapters: ANY }),
  'EWCManager.import': namesOf<ImportOptions>({ adapters: ANY, examples: ANY }),
  'EWCManager.computeFisher': namesOf<FisherOptions<unknown>>({ gradients: ANY, adapterGradients: ANY, through: ANY }),
  'GradientCheckpointer.chain': namesOf<ChainOptions>(CHAIN),
  'LRSchedulers.polynomial': namesOf<PolynomialOptions>({ power: ANY, minLR: ANY }),
  'LRSchedulers.warmupLinear': namesOf<WarmupOptions>(WARMUP),
  'LRSchedulers.inverseSqrt': namesOf<WarmupOptions>(WARMUP),
  'LRSchedulers.warmupStableDecay': namesOf<WarmupStableDecayOptions>({
    ...WARMUP,
    decaySteps: ANY,
    decayType: ANY,
    minLR: ANY,
  }),
  'LRSchedulers.step': namesOf<StepOptions>({ gamma: ANY, stepSize: ANY }),
  'LRSchedulers.multiStep': namesOf<MultiStepOptions>({ gamma: ANY, milestones: ANY }),
  sequence: namesOf<SequencePart>({ schedule: ANY, steps: ANY, opts: ANY }),
  ReduceLROnPlateau: namesOf<ReduceLROnPlateauOptions>({
    lr: ANY,
    mode: ANY,
    factor: ANY,
    patience: ANY,
    threshold: ANY,
    thresholdMode: ANY,
    cooldown: ANY,
    minLR: ANY,
  }),
  LoRAAdapter: namesOf<LoRAAdapterOptions>({ dim: ANY, outDim: ANY, rank: ANY, alpha: ANY, seed: ANY }),
  AdamW: namesOf<AdamWOptions>({ ...SGD_OPTIONS, betas: ANY, eps: ANY }),
  SGD: namesOf<SGDOptions>({ ...SGD_OPTIONS, momentum: ANY }),
  KeepBest: namesOf<KeepBestOptions>({ mode: ANY, patience: ANY }),
  continualMetrics: namesOf<ContinualMetricsOptions>({ higherIsBetter: FLAG, baseline: ANY }),
  search: namesOf<SearchOptions>({ precision: ANY }),
  evaluate: namesOf<EvaluateOptions>({ at: ANY, seed: ANY, precision: ANY }),
  mineHardNegatives: namesOf<HardNegativeOptions>({
    count: ANY,
    range: ANY,
    sampling: ANY,
    maxSimilarity: ANY,
    relativeMargin: ANY,
    seed: ANY,
  }),
  NgramEmbedder: namesOf<NgramEmbedderOptions>({ dim: ANY }),
  splitPairs: namesOf<SplitPairsOptions>({ validation: ANY, test: ANY, by: ANY, seed: ANY }),
  averageUpdates: namesOf<AverageUpdatesOptions>({ weights: ANY, maxNormRatio: ANY, method: ANY, accept: ANY }),
  readJsonl: namesOf<ReadJsonlOptions>({ onError: ANY, from: ANY, to: ANY }),
  splitJsonl: namesOf<SplitJsonlOptions>({ rows: ANY }),
};

/** A call that takes options, or an option that holds options. */
export type OptionsOwner = keyof typeof OPTIONS;

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
  return OPTIONS[owner];
}

/** Whether an unknown name gives a warning instead of an error. */
export function isLenient(owner: OptionsOwner): boolean {
  return LENIENT.has(owner);
}

function namesOf<Options>(kinds: { [Name in keyof Required<Options>]: Kind }): ReadonlyMap<string, boolean> {
  return new Map(Object.entries<Kind>(kinds).map(([name, kind]) => [name, kind === FLAG]));
}
