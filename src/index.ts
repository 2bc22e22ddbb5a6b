/**
 * Training utilities for LoRA adapters over text embeddings.
 *
 * @module API reference
 */

import { BatchGenerator } from './batch-generator.js';
import { DataPreprocessor } from './data-preprocessor.js';
import { EWCManager } from './ewc-manager.js';
import { GradientCheckpointer } from './gradient-checkpointer.js';
import { LossComputer } from './loss-computer.js';
import { LRSchedulers } from './lr-schedulers.js';

// The original module's API.
export { BatchGenerator, DataPreprocessor, EWCManager, GradientCheckpointer, LossComputer, LRSchedulers };
export default { DataPreprocessor, BatchGenerator, LossComputer, EWCManager, GradientCheckpointer, LRSchedulers };

// What the port adds.

export { loadCheckpoint, packCheckpoint, saveCheckpoint, unpackCheckpoint } from './checkpoint.js';
export { continualMetrics } from './continual-metrics.js';
export { cosineSimilarity } from './cosine-similarity.js';
export { averageUpdates } from './distributed/average-updates.js';
export { packGradients, packWeights, sumInOrder, unpackGradients, unpackWeights } from './distributed/flat.js';
export { splitJsonl } from './jsonl/split.js';
export { readJsonl } from './jsonl.js';
export { KeepBest } from './keep-best.js';
export {
  kernelBackend,
  kernelThreads,
  releaseKernelMemory,
  useKernelBackend,
  useKernelModule,
  useKernelThreads,
} from './kernel-backend.js';
export { LoRAAdapter } from './lora-adapter.js';
export { ReduceLROnPlateau } from './lr-schedulers/reduce-on-plateau.js';
export { sequence } from './lr-schedulers/sequence.js';
export { mineHardNegatives } from './mine-hard-negatives.js';
export { AdamW, SGD } from './optimizers.js';
export { Retriever } from './retriever.js';
export { readTensors, writeTensors } from './tensors.js';
export { NgramEmbedder } from './text/ngram-embedder.js';
export { splitPairs } from './text/split-pairs.js';

// Types of options, results, state and data.

export type { BatchGeneratorState } from './batch-generator/generator-state.js';
export type { DuplicateKey, DuplicatesBy } from './batch-generator/labels.js';
export type { NegativeMining } from './batch-generator/negative-mining.js';
export type { BatchGeneratorConfig, BatchGeneratorOptions } from './batch-generator/options.js';
export type { Shard } from './batch-generator/shard.js';
export type { ContinualMetrics, ContinualMetricsOptions } from './continual-metrics.js';
export type {
  DataPreprocessorConfig,
  DataPreprocessorOptions,
  Embedder,
  EmbedderObject,
  ExampleSource,
  ProcessOptions,
  ProcessProgress,
  Tokenizer,
} from './data-preprocessor/options.js';
export type { DataPreprocessorState, PreprocessorStats } from './data-preprocessor/preprocessor-state.js';
export type { DataPreprocessorEvents } from './data-preprocessor.js';
export type { AverageUpdatesOptions, RefusedUpdate } from './distributed/average-updates.js';
export type { ExampleAdapterGradients, ExampleGradients } from './ewc-manager/fisher.js';
export type { FisherOptions } from './ewc-manager/fisher-options.js';
export type { FunctionInfo } from './ewc-manager/function.js';
export type { FisherInfo, OptimalParams } from './ewc-manager/memory.js';
export type { EWCConfig, EWCEvents, EWCOptions, EWCStats } from './ewc-manager/options.js';
export type { PenaltyGradient } from './ewc-manager/penalised.js';
export type {
  ExportOptions as EWCExportOptions,
  ImportOptions as EWCImportOptions,
  Provenance as EWCProvenance,
} from './ewc-manager/provenance.js';
export type { EWCState } from './ewc-manager/state.js';
export type { Chain, ChainGradients, ChainStats } from './gradient-checkpointer/chain/types.js';
export type { CallGradients } from './gradient-checkpointer/gradients.js';
export type { Activation, ForwardCall } from './gradient-checkpointer/linked-calls.js';
export type {
  ChainOptions,
  CheckpointStrategy,
  GradientCheckpointerConfig,
  GradientCheckpointerOptions,
} from './gradient-checkpointer/options.js';
export type { CheckpointerStats, MemoryEstimate } from './gradient-checkpointer.js';
export type { RandomState } from './internal/random.js';
export type { JsonlPart, SplitJsonlOptions } from './jsonl/split.js';
export type { WebSource, WebStream } from './jsonl/web-sources.js';
export type { JsonlSource, ReadJsonlOptions } from './jsonl.js';
export type { KeepBestOptions, KeepBestState } from './keep-best.js';
export type { KernelBackend } from './kernel-backend.js';
export type { Precision } from './kernels/kernels.js';
export type { AdapterConfig } from './lora-adapter/peft-config.js';
export type { LoRAAdapterOptions, LoRAGradients, LoRATrace, SavedAdapter } from './lora-adapter.js';
export type { WeightedLoss } from './loss-computer/combine.js';
export type { ContrastiveComponents, ContrastiveOptions } from './loss-computer/contrastive.js';
export type { CosineEmbeddingComponents, CosineEmbeddingOptions } from './loss-computer/cosine-embedding.js';
export type { CrossEntropyComponents, CrossEntropyOptions } from './loss-computer/cross-entropy.js';
export type { MseComponents, MseOptions } from './loss-computer/mse.js';
export type { Ids, NegativeMode } from './loss-computer/negatives.js';
export type { DiagnosticsOptions, ReductionOptions } from './loss-computer/reduction.js';
export type { ContrastiveArgument, GradientsWrt } from './loss-computer/through.js';
export type { TripletComponents, TripletOptions } from './loss-computer/triplet.js';
export type { Anneal, CosineWarmRestartsOptions, OneCycleOptions } from './lr-schedulers/cycles.js';
export type { CosineOptions, PolynomialOptions } from './lr-schedulers/decay.js';
export type { ExponentialOptions, MultiStepOptions, StepOptions } from './lr-schedulers/factors.js';
export type { ReduceLROnPlateauOptions, ReduceLROnPlateauState } from './lr-schedulers/reduce-on-plateau.js';
export type { Schedule } from './lr-schedulers/schedule.js';
export type { SequencePart } from './lr-schedulers/sequence.js';
export type {
  DecayType,
  WarmupCosineOptions,
  WarmupOptions,
  WarmupStableDecayOptions,
} from './lr-schedulers/warmup.js';
export type { HardNegativeOptions } from './mine-hard-negatives.js';
export type { AdamWState, OptimizerState, SGDState } from './optimizers/moments.js';
export type { AdamWOptions, SGDOptions } from './optimizers.js';
export type { Interval } from './retriever/bootstrap.js';
export type { RelevantCandidates } from './retriever/relevant.js';
export type {
  EvaluateOptions,
  RetrievalEvaluation,
  RetrievalMetrics,
  SearchOptions,
  SearchResult,
} from './retriever.js';
export type { Dtype, TensorData } from './tensors/dtypes.js';
export type { ReadTensor, Tensor, TensorFile } from './tensors.js';
export type { NgramEmbedderOptions, NgramEmbedderState } from './text/ngram-embedder.js';
export type { PairSplit, SplitPairsOptions, SplitPart, SplitSummary, TextPair } from './text/split-pairs.js';
export type {
  Adapter,
  AdapterGradients,
  Batch,
  Bytes,
  ChainStep,
  EmbeddedExample,
  Float32Row,
  GroupResult,
  InputGradient,
  LossComponents,
  LossResult,
  LossWithGradients,
  MutableVector,
  ParameterStep,
  ProcessedExample,
  Rows,
  Stateful,
  Through,
  TrainingExample,
  TrainingStep,
  Vector,
  WithDiagnostics,
  WithPerGroup,
  WithPerRow,
} from './types.js';
