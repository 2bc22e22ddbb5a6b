import { Readable } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  AdamW,
  averageUpdates,
  BatchGenerator,
  continualMetrics,
  DataPreprocessor,
  EWCManager,
  GradientCheckpointer,
  KeepBest,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  mineHardNegatives,
  NgramEmbedder,
  ReduceLROnPlateau,
  Retriever,
  readJsonl,
  SGD,
  sequence,
  splitJsonl,
  splitPairs,
} from '../src/index.js';
import type { OptionsOwner } from '../src/internal/option-names.js';

/** A value as plain JavaScript may pass it. */
// biome-ignore lint/suspicious/noExplicitAny: the tests pass values that the types refuse
type Untyped = any;

/** A misspelt name, the nearest known name, and the call that gets the misspelt one. */
type Case = [misspelt: string, nearest: string, call: (options: Untyped) => unknown];

const rows = [
  [1, 2],
  [3, 4],
];
const adapters = new Map([['query', { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 }]]);
const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
const step = { forward: (x: number) => x, backward: (_: number, gradY: number) => gradY };
const pairs = [0, 1, 2].map(i => ({ input: `${i}`, output: `${i}` }));

/** Calls whose unknown options the original kept or ignored. */
const lenient = {
  DataPreprocessor: ['embeder', 'embedder', options => new DataPreprocessor(options)],
  BatchGenerator: ['batchsize', 'batchSize', options => new BatchGenerator(data, options)],
  EWCManager: ['lamda', 'lambda', options => new EWCManager(options)],
  GradientCheckpointer: ['checkpointSegment', 'checkpointSegments', options => new GradientCheckpointer(options)],
  'LRSchedulers.cosine': ['minLr', 'minLR', options => LRSchedulers.cosine(1, 0, 1, options)],
  'LRSchedulers.cosineWarmRestarts': [
    'restartperiod',
    'restartPeriod',
    options => LRSchedulers.cosineWarmRestarts(1, 0, 1, options),
  ],
  'LRSchedulers.exponential': ['stepsize', 'stepSize', options => LRSchedulers.exponential(1, 0, 1, options)],
  'LRSchedulers.warmupCosine': ['warmupstep', 'warmupSteps', options => LRSchedulers.warmupCosine(1, 0, 1, options)],
  'LRSchedulers.oneCycle': ['maxLr', 'maxLR', options => LRSchedulers.oneCycle(1, 0, 1, options)],
} satisfies Partial<Record<OptionsOwner, Case>>;

const strict = {
  shard: [
    'worldsize',
    'worldSize',
    shard => new BatchGenerator(data, { seed: 1, shard: { rank: 0, worldSize: 1, ...shard } }),
  ],
  negativeMining: [
    'maxSimilarty',
    'maxSimilarity',
    mining => new BatchGenerator(data, { negativeMining: { strategy: 'hardest', ...mining } }),
  ],
  'DataPreprocessor.process': ['onprogress', 'onProgress', options => new DataPreprocessor().process([], options)],
  'DataPreprocessor.stream': ['signals', 'signal', options => new DataPreprocessor().stream([], options)],
  'LossComputer.contrastive': [
    'temperture',
    'temperature',
    options => LossComputer.contrastive(rows, rows, null, options),
  ],
  'LossComputer.triplet': ['gradient', 'gradients', options => LossComputer.triplet(rows, rows, rows, options)],
  'LossComputer.crossEntropy': [
    'labelSmothing',
    'labelSmoothing',
    options => LossComputer.crossEntropy(rows, [0, 1], options),
  ],
  'LossComputer.mse': ['perrow', 'perRow', options => LossComputer.mse(rows, rows, options)],
  'LossComputer.cosineEmbedding': [
    'magin',
    'margin',
    options => LossComputer.cosineEmbedding(rows, rows, null, options),
  ],
  'EWCManager.computeFisher': [
    'adapterGradient',
    'adapterGradients',
    options => new EWCManager().computeFisher(adapters, data, options),
  ],
  'EWCManager.export': ['adapter', 'adapters', options => new EWCManager().export(options)],
  'EWCManager.import': ['example', 'examples', options => new EWCManager().import(new EWCManager().export(), options)],
  'GradientCheckpointer.chain': ['slot', 'slots', options => new GradientCheckpointer().chain([step], 1, options)],
  'LRSchedulers.polynomial': ['endLr', 'minLR', options => LRSchedulers.polynomial(1, 0, 1, options)],
  'LRSchedulers.warmupLinear': ['warmUpStep', 'warmupSteps', options => LRSchedulers.warmupLinear(1, 0, 1, options)],
  'LRSchedulers.inverseSqrt': ['warmup', 'warmupSteps', options => LRSchedulers.inverseSqrt(1, 0, 1, options)],
  'LRSchedulers.warmupStableDecay': [
    'decaysteps',
    'decaySteps',
    options => LRSchedulers.warmupStableDecay(1, 0, 1, options),
  ],
  'LRSchedulers.step': ['gama', 'gamma', options => LRSchedulers.step(1, 0, 1, options)],
  'LRSchedulers.multiStep': ['milestone', 'milestones', options => LRSchedulers.multiStep(1, 0, 1, options)],
  sequence: ['opt', 'opts', part => sequence([{ schedule: LRSchedulers.linear, steps: 1, ...part }])],
  ReduceLROnPlateau: ['minLr', 'minLR', options => new ReduceLROnPlateau({ lr: 1, ...options })],
  LoRAAdapter: ['r', 'rank', options => new LoRAAdapter({ dim: 2, ...options })],
  AdamW: ['weight_decay', 'weightDecay', options => new AdamW(adapters, options)],
  SGD: ['momentun', 'momentum', options => new SGD(adapters, options)],
  KeepBest: ['patienc', 'patience', options => new KeepBest(adapters, options)],
  continualMetrics: ['higherisbetter', 'higherIsBetter', options => continualMetrics([[1]], options)],
  'Retriever.search': ['precison', 'precision', options => new Retriever(rows).search(rows, 1, options)],
  'Retriever.evaluate': ['ats', 'at', options => new Retriever(rows).evaluate(rows, [0, 1], options)],
  mineHardNegatives: ['counts', 'count', options => mineHardNegatives(rows, rows, [0, 1], options)],
  NgramEmbedder: ['dims', 'dim', options => new NgramEmbedder(options)],
  splitPairs: ['valid', 'validation', options => splitPairs(pairs, { validation: 0.4, ...options })],
  splitJsonl: ['row', 'rows', options => splitJsonl('pairs.jsonl', options)],
  averageUpdates: [
    'maxNorm',
    'maxNormRatio',
    options => averageUpdates(new Float32Array(1), [new Float32Array(1)], options),
  ],
  readJsonl: ['onerror', 'onError', options => readJsonl(Readable.from([]), options)],
} satisfies Partial<Record<OptionsOwner, Case>>;

/** Does not compile if a call with options is missing here. */
const withoutOptions = { 'LRSchedulers.constant': true, 'LRSchedulers.linear': true };
const all = { ...strict, ...lenient, ...withoutOptions } satisfies Record<OptionsOwner, unknown>;

describe('an unknown option', () => {
  it.each(Object.entries<Case>(strict))(
    'of %s is an error that suggests the nearest name',
    async (_, [name, nearest, call]) => {
      const calling = async (options: object): Promise<unknown> => call(options);
      await expect(calling({ [name]: 1 })).rejects.toThrow(TypeError);
      await expect(calling({ [name]: undefined })).rejects.toThrow(
        `unknown option "${name}"; did you mean ${nearest}?`,
      );
    },
  );

  it('of another library leads to a suggestion of the name here', () => {
    const suggested: [name: string, name: string, call: (options: Untyped) => unknown][] = [
      ['learningRate', 'lr', strict.AdamW[2]],
      ['learning_rate', 'lr', strict.SGD[2]],
      ['learningRate', 'lr', strict.ReduceLROnPlateau[2]],
      ['clip_norm', 'maxGradNorm', strict.AdamW[2]],
      ['eta_min', 'minLR', strict['LRSchedulers.polynomial'][2]],
      ['tau', 'temperature', strict['LossComputer.contrastive'][2]],
      ['randomState', 'seed', strict.splitPairs[2]],
    ];
    for (const [name, expected, call] of suggested)
      expect(() => call({ [name]: 1 }), name).toThrow(`unknown option "${name}"; did you mean ${expected}?`);
  });

  it.each(['amsgrad', 'dropout', 'schedule', 'tau', 'weights', ''])('%j is not near any option of AdamW', name => {
    expect(() => new AdamW(adapters, { [name]: 1 } as Untyped)).toThrow(
      `unknown option "${name}"; expected lr, weightDecay, maxGradNorm, betas, eps`,
    );
  });

  it('leads to a list of all names where none is near', () => {
    expect(() => new NgramEmbedder({ zzzzzz: 1 } as Untyped)).toThrow('unknown option "zzzzzz"; expected dim');
    expect(() => new NgramEmbedder({ ['dim'.repeat(1000)]: 1 } as Untyped)).toThrow(/^.{0,120}; expected dim$/);
    expect(() => LossComputer.contrastive(rows, rows, null, { __proto__: null, gradient: true } as Untyped)).toThrow(
      'contrastive: unknown option "gradient"; did you mean gradients?',
    );
  });

  it('is an own property, not an inherited one', () => {
    expect(LossComputer.mse(rows, rows, Object.create({ perrow: true })).loss).toBe(0);
  });

  it('leads to an error that names the object that has it', () => {
    expect(() => strict.shard[2]({ rnk: 1 })).toThrow('BatchGenerator: shard has the unknown option "rnk"');
    expect(() => strict.sequence[2]({ options: {} })).toThrow('sequence: parts[0] has the unknown option "options"');
  });
});

describe('where the original accepts an unknown option', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it.each(Object.entries<Case>(lenient))('%s warns once per name', (owner, [name, nearest, call]) => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (let i = 0; i < 3; i++) call({ [name]: 1 });
    const message = `${owner}: unknown option "${name}"; did you mean ${nearest}? It has no effect here.`;
    expect(warn.mock.calls).toEqual([[message, 'UnknownOptionWarning']]);
    call({ [`${name}2`]: 1 });
    expect(warn).toHaveBeenCalledTimes(2);
  });

  it('the configuration keeps it', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const { config } of [
      new DataPreprocessor({ mine: 1 } as Untyped),
      new BatchGenerator([], { mine: 1 } as Untyped),
      new EWCManager({ mine: 1 } as Untyped),
      new GradientCheckpointer({ mine: 1 } as Untyped),
    ])
      expect(config).toMatchObject({ mine: 1 });
    expect(warn).toHaveBeenCalledTimes(4);
  });

  it('a call without options warns about any', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    for (const name of ['constant', 'linear'] as const) {
      LRSchedulers[name](1, 0, 1, { minLR: 1 });
      expect(warn).toHaveBeenLastCalledWith(
        `LRSchedulers.${name}: unknown option "minLR"; there are none. It has no effect here.`,
        'UnknownOptionWarning',
      );
    }
  });

  it('there is no warning without a process', () => {
    vi.stubGlobal('process', undefined);
    expect(LRSchedulers.cosine(1, 0, 1, { silent: 1 } as Untyped)).toBe(1);
    vi.stubGlobal('process', {});
    expect(LRSchedulers.cosine(1, 0, 1, { silent: 1 } as Untyped)).toBe(1);
  });
});

describe('options', () => {
  it('must be an object, and flags must be true or false', () => {
    const losses = [
      'LossComputer.contrastive',
      'LossComputer.triplet',
      'LossComputer.crossEntropy',
      'LossComputer.mse',
      'LossComputer.cosineEmbedding',
    ] as const;
    const flags: [keyof typeof all, string][] = [
      ...losses.flatMap(loss => ['gradients', 'perRow'].map((flag): [typeof loss, string] => [loss, flag])),
      ...losses.filter(loss => loss !== 'LossComputer.mse').map((loss): [typeof loss, string] => [loss, 'diagnostics']),
      ['LossComputer.contrastive', 'symmetric'],
      ['LossComputer.contrastive', 'perGroup'],
      ['LossComputer.triplet', 'swap'],
      ['BatchGenerator', 'noDuplicates'],
      ['DataPreprocessor', 'deduplicate'],
      ['negativeMining', 'excludeDuplicates'],
      ['continualMetrics', 'higherIsBetter'],
    ];
    for (const [owner, flag] of flags) {
      const [, , call] = all[owner] as Case;
      for (const value of ['false', null, 0, 1, []]) {
        expect(() => call({ [flag]: value }), `${owner} ${flag}`).toThrow(TypeError);
        expect(() => call({ [flag]: value })).toThrow(`${flag} must be a boolean, got `);
      }
      for (const value of [true, false, undefined]) expect(() => call({ [flag]: value })).not.toThrow();
    }
    for (const loss of losses) {
      for (const options of [[], 1, 'x'])
        expect(() => strict[loss][2](options)).toThrow(`${loss}: options must be an object, got `);
    }
  });

  it('of the original accept any value for true or false', () => {
    const original = { shuffle: 0, dropLast: 1, hardNegatives: 'yes', curriculum: '' } as Untyped;
    expect([...new BatchGenerator(data, original)]).toEqual([]);
    expect(() => new DataPreprocessor({ augmentation: 1, normalizeEmbeddings: 0 } as Untyped)).not.toThrow();
    expect(() => new EWCManager({ normalize: 1, online: 'x' } as Untyped)).not.toThrow();
    expect(() => new GradientCheckpointer({ enabled: 0 } as Untyped)).not.toThrow();
  });
});
