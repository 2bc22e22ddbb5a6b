/**
 * Training utilities for LoRA adapters over text embeddings.
 *
 * @packageDocumentation
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

// Types of options, results and data.
export type { NegativeMining } from './batch-generator/negative-mining.js';
export type { BatchGeneratorConfig, BatchGeneratorOptions } from './batch-generator/options.js';
export type { Shard } from './batch-generator/order.js';
export type { BatchGeneratorState } from './batch-generator/state.js';
export type { TrainingStep } from './batch-generator.js';
export type {
  DataPreprocessorConfig,
  DataPreprocessorEvents,
  DataPreprocessorOptions,
  Embedder,
  PreprocessorStats,
} from './data-preprocessor.js';
export type { EWCState } from './ewc-manager/state.js';
export type {
  EWCConfig,
  EWCEvents,
  EWCOptions,
  EWCStats,
  ExampleGradients,
  FisherInfo,
  FisherOptions,
  OptimalParams,
} from './ewc-manager.js';
export type { ChainOptions, CheckpointStrategy } from './gradient-checkpointer/options.js';
export type {
  Chain,
  ChainGradients,
  ChainStats,
  ChainStep,
  InputGradient,
} from './gradient-checkpointer/types.js';
export type {
  Activation,
  CallGradients,
  CheckpointerStats,
  GradientCheckpointerConfig,
  GradientCheckpointerOptions,
  MemoryEstimate,
} from './gradient-checkpointer.js';
// What the port adds.
export { type ReadJsonlOptions, readJsonl } from './jsonl.js';
export { type KernelBackend, kernelBackend, releaseKernelMemory, useKernelBackend } from './kernel-backend.js';
export { LoRAAdapter, type LoRAAdapterOptions, type LoRAGradients, type SavedAdapter } from './lora-adapter.js';
export type { WeightedLoss } from './loss-computer/combine.js';
export type { ContrastiveOptions } from './loss-computer/contrastive.js';
export type { CosineEmbeddingOptions } from './loss-computer/cosine-embedding.js';
export type { CrossEntropyOptions } from './loss-computer/cross-entropy.js';
export type { MseOptions } from './loss-computer/mse.js';
export type { TripletOptions } from './loss-computer/triplet.js';
export type {
  CosineWarmRestartsOptions,
  ExponentialOptions,
  OneCycleOptions,
  Schedule,
  WarmupCosineOptions,
} from './lr-schedulers.js';
export { AdamW, type AdamWOptions, SGD, type SGDOptions } from './optimizers.js';
export type {
  Adapter,
  AdapterGradients,
  Batch,
  EmbeddedExample,
  Float32Row,
  LossResult,
  LossWithGradients,
  MutableVector,
  ProcessedExample,
  Rows,
  TrainingExample,
  Vector,
} from './types.js';
