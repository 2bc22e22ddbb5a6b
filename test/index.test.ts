import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import * as library from '../src/index.js';

describe('the barrel', () => {
  it('has the original’s names and default export, and the names of the port', () => {
    const original = [
      'DataPreprocessor',
      'BatchGenerator',
      'LossComputer',
      'EWCManager',
      'GradientCheckpointer',
      'LRSchedulers',
    ];
    const added = [
      'AdamW',
      'KeepBest',
      'LoRAAdapter',
      'NgramEmbedder',
      'ReduceLROnPlateau',
      'Retriever',
      'SGD',
      'averageUpdates',
      'continualMetrics',
      'cosineSimilarity',
      'kernelBackend',
      'kernelThreads',
      'loadCheckpoint',
      'mineHardNegatives',
      'packCheckpoint',
      'packGradients',
      'packWeights',
      'readJsonl',
      'readTensors',
      'releaseKernelMemory',
      'saveCheckpoint',
      'sequence',
      'splitJsonl',
      'splitPairs',
      'sumInOrder',
      'unpackCheckpoint',
      'unpackGradients',
      'unpackWeights',
      'useKernelBackend',
      'useKernelModule',
      'useKernelThreads',
      'writeTensors',
    ];
    expect(Object.keys(library).sort()).toEqual([...original, ...added, 'default'].sort());
    expect(Object.keys(library.default)).toEqual(original);
    for (const name of original) expect(Reflect.get(library.default, name)).toBe(Reflect.get(library, name));
  });

  it('has the original’s schedules first, then its own, and only schedules', () => {
    expect(Object.keys(library.LRSchedulers)).toEqual([
      'constant',
      'linear',
      'cosine',
      'cosineWarmRestarts',
      'exponential',
      'warmupCosine',
      'oneCycle',
      'polynomial',
      'warmupLinear',
      'inverseSqrt',
      'warmupStableDecay',
      'step',
      'multiStep',
    ]);
    for (const schedule of Object.values(library.LRSchedulers) as library.Schedule[])
      expect(schedule(0.1, 50, 100)).toBeGreaterThan(0);
  });

  it.each([library.DataPreprocessor, library.EWCManager, library.GradientCheckpointer])(
    '%o is an EventEmitter',
    Class => {
      expect(new Class()).toBeInstanceOf(EventEmitter);
    },
  );

  it('keeps the original’s defaults', () => {
    expect(new library.DataPreprocessor().config).toMatchObject({
      maxLength: 512,
      embeddingDim: 384,
      augmentation: false,
      augmentationFactor: 2,
      qualityThreshold: 0,
      normalizeEmbeddings: true,
    });
    expect(new library.BatchGenerator([]).config).toEqual({
      batchSize: 8,
      shuffle: true,
      dropLast: false,
      hardNegatives: false,
      curriculum: false,
      curriculumEpochs: 5,
    });
    expect(new library.EWCManager().config).toEqual({ lambda: 2000, sampleSize: 200, normalize: true, online: false });
    expect(new library.GradientCheckpointer().config).toEqual({
      enabled: true,
      checkpointSegments: 4,
      maxStoredActivations: 10,
    });
  });

  it('treats undefined options as not given, and null as no options', () => {
    expect(new library.BatchGenerator([], { batchSize: undefined } as object).config.batchSize).toBe(8);
    expect(new library.EWCManager(null as unknown as object).config.lambda).toBe(2000);
  });
});
