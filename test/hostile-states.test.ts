import { describe, expect, it } from 'vitest';
import {
  AdamW,
  BatchGenerator,
  DataPreprocessor,
  EWCManager,
  GradientCheckpointer,
  KeepBest,
  LoRAAdapter,
  NgramEmbedder,
  type ProcessedExample,
  ReduceLROnPlateau,
  SGD,
  type TrainingExample,
} from '../src/index.js';

// biome-ignore lint/suspicious/noExplicitAny: the tests pass values that the types refuse
type Untyped = any;

const cyclicArray: unknown[] = [];
cyclicArray.push(cyclicArray, cyclicArray);
const cyclicObject: Record<string, unknown> = {};
cyclicObject['a'] = cyclicObject['b'] = cyclicObject;
let deepArray: unknown = [];
let deepObject: unknown = {};
for (let i = 0; i < 20_000; i++) [deepArray, deepObject] = [[deepArray], { a: deepObject }];
const hostile = { cyclicArray, cyclicObject, deepArray, deepObject };

const adapter = (): LoRAAdapter => new LoRAAdapter({ dim: 2, rank: 1, seed: 1 });
const adapters = (): Map<string, LoRAAdapter> => new Map([['query', adapter()]]);
const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];

/** Every object with a state: a fresh object, a state, and the method that loads it. */
const owners: Record<string, () => { state: object; load: (state: Untyped) => unknown }> = {
  LoRAAdapter: () => ofDict(adapter()),
  'LoRAAdapter.from': () => ({ state: adapter().toJSON(), load: LoRAAdapter.from }),
  AdamW: () => ofDict(new AdamW(adapters())),
  SGD: () => ofDict(new SGD(adapters(), { momentum: 0.9 })),
  BatchGenerator: () => ofDict(new BatchGenerator(data)),
  ReduceLROnPlateau: () => ofDict(new ReduceLROnPlateau({ lr: 1 })),
  KeepBest: () => {
    const keep = new KeepBest(adapters());
    keep.step(1);
    return ofDict(keep);
  },
  NgramEmbedder: () => ofDict(new NgramEmbedder({ dim: 4 })),
  DataPreprocessor: () => ofDict(new DataPreprocessor({ embedder: new NgramEmbedder({ dim: 4 }), seed: 1 })),
  EWCManager: () => {
    const ewc = new EWCManager();
    ewc.computeFisher(adapters(), data);
    return { state: ewc.export(), load: state => ewc.import(state) };
  },
  'EWCManager by function': () => {
    const ewc = new EWCManager({ penalty: 'function' });
    ewc.computeFisher(adapters(), data);
    return { state: ewc.export(), load: state => ewc.import(state) };
  },
};

function ofDict<State extends object>(owner: {
  stateDict(): State;
  loadStateDict(state: State): void;
}): {
  state: State;
  load: (state: State) => void;
} {
  return { state: owner.stateDict(), load: state => owner.loadStateDict(state) };
}

/** Expects an error that names the caller's mistake, or no error where `mayPass` allows it. */
function expectNamed(call: () => unknown, label: string, mayPass = true): void {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined && mayPass) return;
  expect(thrown, label).toBeInstanceOf(Error);
  const { message } = thrown as Error;
  expect(message, label).not.toMatch(/call stack|circular|not a function|undefined \(|is not iterable/i);
  expect(message.length, label).toBeLessThan(600);
}

/** Copies of the state, each with one value replaced, for every value at every depth. */
function* variants(state: object, value: unknown): Generator<[path: string, state: object]> {
  for (const key of Object.keys(state)) {
    const inner = (state as Record<string, unknown>)[key];
    const replaced = (by: unknown): object =>
      Array.isArray(state) ? state.map((each, i) => (i === Number(key) ? by : each)) : { ...state, [key]: by };
    yield [key, replaced(value)];
    if (typeof inner === 'object' && inner !== null)
      for (const [path, variant] of variants(inner, value)) yield [`${key}.${path}`, replaced(variant)];
  }
}

describe('states that hold themselves or are 20,000 levels deep', () => {
  it.each(Object.keys(owners))('%s names the wrong value, at every place of the state', name => {
    for (const [kind, value] of Object.entries(hostile)) {
      const { state, load } = owners[name]!();
      // An object without known fields is the original's empty state of EWC.
      expectNamed(() => load(value), kind, name.startsWith('EWC'));
      let count = 0;
      for (const [path, variant] of variants(state, value)) {
        count++;
        // Values that are not read may be anything.
        expectNamed(() => load(variant), `${kind} at ${path}`);
      }
      expect(count).toBeGreaterThan(2);
      load(state);
    }
  });

  it('are refused as options', () => {
    for (const value of Object.values(hostile)) {
      const optimizer = owners['AdamW']!();
      expect(() => optimizer.load({ ...optimizer.state, options: { eps: value } })).toThrow(
        'AdamW.loadStateDict: state has betas undefined, this optimizer has [0.9,0.999]',
      );
      const batches = owners['BatchGenerator']!() as { state: { config: object }; load: (state: object) => void };
      const config = { ...batches.state.config, batchSize: value };
      expect(() => batches.load({ ...batches.state, config })).toThrow(/state has batchSize .*, this generator has 8$/);
    }
  });

  it('are refused as states of a checkpointer’s chain', () => {
    const same = { forward: (x: unknown) => x, backward: (_: unknown, gradY: unknown) => gradY };
    for (const [kind, value] of Object.entries(hostile)) {
      const reason = kind.startsWith('cyclic') ? 'holds itself' : 'is more than 1000 levels deep';
      const chain = (input: unknown, step = same): Untyped => new GradientCheckpointer().chain([step, same], input);
      expect(() => chain(value)).toThrow(reason);
      expect(() => chain({ x: [1, value] })).toThrow(reason);
      expect(() => chain(1, { ...same, forward: () => value })).toThrow(
        `GradientCheckpointer.chain: the result of forward of step 0`,
      );
      expect(() => chain(1).backward(value)).toThrow(reason);
      const input: unknown[] = [1];
      const { backward } = chain(input);
      input[0] = value;
      expect(() => backward([1])).toThrow(
        'GradientCheckpointer.chain: a state was changed, and holds itself or too many levels',
      );
      const checkpointer = new GradientCheckpointer({ maxStoredActivations: 0 });
      expect(checkpointer.checkpoint(x => x, value)).toBe(value);
      expect(Object.keys(checkpointer.recompute(0).input as object)).toEqual(Object.keys(value as object));
      expect(() => checkpointer.recompute(value as Untyped)).toThrow('Cannot recompute segment an ');
    }
  });

  it('may be up to 1,000 levels deep', () => {
    let nested: unknown = 1;
    for (let i = 0; i < 1000; i++) nested = [nested];
    const step = { forward: (x: unknown) => x, backward: (_: unknown, gradY: unknown) => gradY };
    const { backward } = new GradientCheckpointer({ determinism: 'value' }).chain([step], nested);
    expect(backward(nested).gradInputs).toBe(nested);
  });
});

describe('examples that change while they are processed', () => {
  const bad = [5, undefined, null, { input: 1, output: 'x' }, { input: 'x', output: 'x', negatives: [3] }] as Untyped[];
  const examples = (): TrainingExample[] => Array.from({ length: 300 }, (_, i) => ({ input: `${i}`, output: 'x' }));

  it.each([{}, { embedder: (texts: string[]) => texts.map(() => [1]) }])('are named in an array', async options => {
    for (const example of bad) {
      const array = examples();
      const preprocessor = new DataPreprocessor(options);
      const processing = preprocessor.process(array, { onProgress: () => (array[250] = example) });
      await expect(processing).rejects.toThrow(/^DataPreprocessor\.process: examples\[250\]/);
      const grown = examples();
      const growing = preprocessor.process(grown, { onProgress: () => grown.push(example) });
      await expect(growing).rejects.toThrow(/^DataPreprocessor\.process: examples\[30[0-9]\]/);
      expect(await preprocessor.process(examples())).toHaveLength(300);
    }
  });

  it('are named where one changes after it was read', async () => {
    const [example] = examples();
    const embedder = async (texts: string[]): Promise<number[][]> => {
      (example as Untyped).input = 7;
      return texts.map(() => [1]);
    };
    const processing = new DataPreprocessor({ embedder }).process([example!]);
    await expect(processing).rejects.toThrow('DataPreprocessor._processExample: example.input must be a string, got 7');
  });

  it('are named where an override makes them', async () => {
    class Bad extends DataPreprocessor {
      result: Untyped;
      override async _augmentExample(): Promise<TrainingExample[]> {
        return this.result;
      }
    }
    for (const options of [{}, { embedder: (texts: string[]) => texts.map(() => [1]) }]) {
      const preprocessor = new Bad({ ...options, augmentation: true });
      for (const example of bad) {
        preprocessor.result = [example];
        await expect(preprocessor.process(examples())).rejects.toThrow(/^DataPreprocessor\._augmentExample: example/);
      }
      preprocessor.result = 5;
      await expect(preprocessor.process(examples())).rejects.toThrow(
        'DataPreprocessor._augmentExample: the result must be',
      );
      preprocessor.result = new Set([{ input: 'y', output: 'z' }]);
      const processed: ProcessedExample[] = await preprocessor.process(examples());
      expect(processed).toHaveLength(600);
    }
  });
});
