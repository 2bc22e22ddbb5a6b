import { describe, expect, it } from 'vitest';
import { type Adapter, type EmbeddedExample, EWCManager, type EWCOptions } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';
import { mulberry32 } from '../../support/golden.js';

const random = mulberry32(11);
const matrix = (height: number, width: number): number[][] =>
  Array.from({ length: height }, () => Array.from({ length: width }, () => random() - 0.5));
const adapter = (dim = 3, outDim = 2): Adapter => ({ loraA: matrix(dim, 2), loraB: matrix(2, outDim), scaling: 0.8 });
const examples = (count = 4): EmbeddedExample[] =>
  Array.from({ length: count }, () => ({ inputEmb: matrix(1, 3)[0]!, outputEmb: matrix(1, 2)[0]! }));
const tasks = Array.from({ length: 3 }, () => ({ weights: adapter(), data: examples() }));
const moved = new Map([['a', adapter()]]);
const learn = (ewc: EWCManager, name: string, weights: Adapter, data = examples()): void =>
  ewc.computeFisher(new Map([[name, weights]]), data);
const message = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
};

describe('the function penalty after three tasks', () => {
  const ofTask = tasks.map(({ weights, data }) => {
    const ewc = new EWCManager({ penalty: 'function', lambda: 1 });
    learn(ewc, 'a', weights, data);
    return ewc.computePenalty(moved);
  });

  it.each<[weights: number[], EWCOptions]>([
    [[0, 0, 1], { mode: 'last' }],
    [[1, 1, 1], { mode: 'sum' }],
    [[1, 1, 1], {}],
    [[1 / 4, 1 / 4, 1 / 2], { mode: 'average' }],
    [[1 / 4, 1 / 4, 1 / 2], { online: true }],
    [[0.09, 0.3, 1], { mode: 'online', decay: 0.3 }],
    [[0.81, 0.9, 1], { mode: 'online' }],
  ])('weights those of the single tasks by %j with %o', (weights, options) => {
    const ewc = new EWCManager({ penalty: 'function', lambda: 1, ...options });
    for (const task of tasks) learn(ewc, 'a', task.weights, task.data);
    const expected = weights.reduce((sum, weight, i) => sum + weight * ofTask[i]!, 0);
    expectClose(ewc.computePenalty(moved), expected, 1e-5);
  });
});

describe('a manager with both penalties, each on its own adapter', () => {
  const both = (first: 'diagonal' | 'function'): EWCManager => {
    const ewc = new EWCManager({ penalty: first, lambda: 1 });
    learn(ewc, 'a', tasks[0]!.weights, tasks[0]!.data);
    ewc.config.penalty = first === 'diagonal' ? 'function' : 'diagonal';
    learn(ewc, 'b', tasks[1]!.weights, tasks[1]!.data);
    ewc.config.lambda = 1;
    return ewc;
  };
  const alone = (penalty: 'diagonal' | 'function', name: string, at: number): EWCManager => {
    const ewc = new EWCManager({ penalty, lambda: 1 });
    learn(ewc, name, tasks[at]!.weights, tasks[at]!.data);
    return ewc;
  };

  it('adds them up', () => {
    const adapters = new Map([
      ['a', adapter()],
      ['b', adapter()],
    ]);
    const [a, b] = [alone('diagonal', 'a', 0), alone('function', 'b', 1)].map(ewc => ewc.computePenalty(adapters));
    expectClose(both('diagonal').computePenalty(adapters), a! + b!, 1e-5);
  });

  it('is merged only with one that has the same penalty on each adapter', () => {
    const [mine, theirs] = [both('diagonal'), both('function')];
    theirs.config.penalty = 'function';
    expect(message(() => mine.merge(theirs))).toBe(
      'EWCManager.merge: the other\'s penalty on "a" is function, here diagonal',
    );
  });
});

describe('merge', () => {
  const one = (name: string): EWCManager => {
    const ewc = new EWCManager();
    learn(ewc, name, tasks[0]!.weights);
    return ewc;
  };

  it('names an adapter that only one manager remembers', () => {
    const two = new EWCManager();
    two.computeFisher(
      new Map([
        ['a', tasks[0]!.weights],
        ['b', adapter()],
      ]),
      examples(),
    );
    expect(message(() => one('a').merge(two))).toBe('EWCManager.merge: the other remembers "b", this manager does not');
    expect(message(() => two.merge(one('a')))).toBe('EWCManager.merge: this manager remembers "b", the other does not');
  });

  it('refuses a state of an unknown number of examples, on either side', () => {
    const unknown = new EWCManager();
    const { fisherInfo, optimalParams, config, stats } = JSON.parse(JSON.stringify(one('a').export()));
    unknown.import({ fisherInfo, optimalParams, config, stats });
    for (const merge of [() => unknown.merge(one('a')), () => one('a').merge(unknown)])
      expect(message(merge)).toContain('how many examples were seen is not known');
  });

  it('accepts managers that have forgotten normalised Fishers', () => {
    const forgetful = new EWCManager({ normalize: true });
    learn(forgetful, 'a', tasks[0]!.weights);
    forgetful.reset();
    expect(() => forgetful.merge(new EWCManager({ normalize: true }))).not.toThrow();
  });
});

describe('import', () => {
  it.each<[string, object]>([
    ['config.decay must be a finite number from 0 to 1, got 2', { config: { decay: 2 } }],
    ["config.penalty must be 'diagonal' | 'function', got \"x\"", { config: { penalty: 'x' } }],
    ["config.fisher must be 'empirical' | 'exact', got \"x\"", { config: { fisher: 'x' } }],
    ["config.mode must be 'last' | 'average' | 'online' | 'sum', got \"x\"", { config: { mode: 'x' } }],
    ['stats must be an object, got 1', { stats: 1 }],
    ['stats.totalPenalties must be an integer of at least 0, got -1', { stats: { totalPenalties: -1 } }],
  ])('names what is wrong: %s', (expected, part) => {
    const state = { fisherInfo: {}, optimalParams: {}, ...part };
    expect(message(() => new EWCManager().import(state))).toBe(`EWCManager.import: ${expected}`);
  });

  it('takes counts over, and settings that are null as absent', () => {
    const ewc = new EWCManager();
    const config = { decay: null, mode: null, penalty: null, fisher: null, seed: null, lambda: null };
    ewc.import({ fisherInfo: {}, optimalParams: {}, config, stats: { tasksLearned: 3, totalPenalties: 7 } });
    expect(ewc.stats).toEqual({ tasksLearned: 3, totalPenalties: 7 });
    expect(ewc.config.lambda).toBe(new EWCManager().config.lambda);
  });
});

describe('messages name the call and the argument', () => {
  const ewc = new EWCManager({ mode: 'sum' });
  const narrow = (): Map<string, Adapter> => new Map([['a', { ...adapter(3, 1), loraA: tasks[0]!.weights.loraA }]]);

  it.each<[string, (ewc: EWCManager) => unknown]>([
    ['penaltyGradient: adapters must be a Map', each => each.penaltyGradient([] as never)],
    [
      'computePenalty: adapters.get("a").loraB is 2 × 1, the remembered one is 2 × 2',
      each => each.computePenalty(narrow()),
    ],
    [
      'computePenalty: config.lambda must be a finite number of at least 0, got -1',
      each => {
        each.config.lambda = -1;
        return each.computePenalty(moved);
      },
    ],
    [
      'computeFisher: adapters.get("a").scaling must be a finite number, got undefined',
      each => {
        each.config.fisher = 'exact';
        const { loraA, loraB } = tasks[0]!.weights;
        return each.computeFisher(new Map([['a', { loraA, loraB } as Adapter]]), examples());
      },
    ],
  ])('%s', (expected, call) => {
    const manager = new EWCManager();
    learn(manager, 'a', tasks[0]!.weights);
    expect(message(() => call(manager))).toContain(`EWCManager.${expected}`);
  });

  it.each([
    ['diagonal', 'fisherInfo.get("a").fisherB[0] has 2 entries, expected 1'],
    ['function', 'optimalParams.get("a").loraB[0] has 2 entries, expected 1'],
  ] as const)('a second task of another shape, %s', (penalty, expected) => {
    const manager = new EWCManager({ mode: 'sum', penalty });
    learn(manager, 'a', tasks[0]!.weights);
    expect(message(() => manager.computeFisher(narrow(), [{ inputEmb: [1, 2, 3], outputEmb: [1] }]))).toBe(
      `EWCManager.computeFisher: ${expected}`,
    );
  });

  it('inputs whose squares overflow', () => {
    const manager = new EWCManager({ penalty: 'function' });
    const data = [{ inputEmb: [1e200, 1, 1], outputEmb: [1, 1] }];
    expect(message(() => manager.computeFisher(new Map([['a', adapter()]]), data))).toBe(
      'EWCManager.computeFisher: the result overflows; data holds numbers that are too large',
    );
    expect(ewc.stats.tasksLearned).toBe(0);
  });
});

it('the caller’s own gradients may be of data without embeddings', () => {
  const ewc = new EWCManager();
  const gradients = (): { gradA: number[][]; gradB: number[][] } => ({ gradA: matrix(3, 2), gradB: matrix(2, 2) });
  expect(() => ewc.computeFisher(moved, [{ text: 'a' } as never], { gradients })).not.toThrow();
  expect(ewc.fisherInfo.size).toBe(1);
});

it('the original’s helpers are there', () => {
  expect(new EWCManager()._zeros(2, 3)).toEqual([
    [0, 0, 0],
    [0, 0, 0],
  ]);
  expect(new EWCManager(null as never).config).toEqual(new EWCManager().config);
});
