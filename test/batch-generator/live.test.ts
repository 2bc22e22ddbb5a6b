import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BatchGenerator,
  type BatchGeneratorOptions,
  type BatchGeneratorState,
  type EmbeddedExample,
} from '../../src/index.js';

interface Pair extends EmbeddedExample {
  input: string;
  output: string;
}

const pair = (input: number, output: number): Pair => ({
  input: `in ${input}`,
  output: `out ${output}`,
  inputEmb: [Math.cos(input), Math.sin(input), 1],
  outputEmb: [Math.sin(output), 1, Math.cos(output)],
});
const four = (): Pair[] => [0, 1, 2, 3].map(i => pair(i, i));
const many = (): Pair[] => Array.from({ length: 23 }, (_, i) => pair(i % 17, i % 19));
const resumedFrom = (generator: BatchGenerator<Pair>, config: BatchGeneratorOptions): BatchGenerator<Pair> => {
  const resumed = new BatchGenerator(generator.data, config);
  resumed.loadStateDict(JSON.parse(JSON.stringify(generator.stateDict())) as BatchGeneratorState);
  return resumed;
};

const options = fc.record(
  {
    batchSize: fc.integer({ min: 1, max: 6 }),
    shuffle: fc.boolean(),
    dropLast: fc.boolean(),
    curriculum: fc.boolean(),
    seed: fc.nat(9),
    noDuplicates: fc.boolean(),
    duplicatesBy: fc.constantFrom('exact', 'text', 'row'),
    negativeMining: fc.constantFrom({ strategy: 'hardest' }, { strategy: 'random', maxSimilarity: 0.5 }),
    shard: fc.constantFrom({ rank: 0, worldSize: 2 }, { rank: 1, worldSize: 2 }),
  },
  { requiredKeys: ['seed'] },
);

describe('changes of data and config', () => {
  it('before an epoch give the batches of a new generator with the same data and config', () => {
    fc.assert(
      fc.property(options, options, fc.nat(30), (before, after, count) => {
        const generator = new BatchGenerator<Pair>(four(), before as BatchGeneratorOptions);
        generator.next();
        generator.data.push(...many().slice(0, count));
        generator.config = new BatchGenerator<Pair>([], after as BatchGeneratorOptions).config;
        const fresh = new BatchGenerator(generator.data, after as BatchGeneratorOptions);
        for (const epoch of [0, 2]) {
          generator.setEpoch(epoch);
          fresh.setEpoch(epoch);
          expect([...generator.epochs(epoch + 2)]).toEqual([...fresh.epochs(epoch + 2)]);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('that add duplicates keep these in separate batches from the next epoch on', () => {
    const generator = new BatchGenerator(four(), { batchSize: 4, seed: 1, noDuplicates: true });
    generator.data.push(pair(0, 10), pair(0, 11), pair(12, 0));
    expect([...generator].flatMap(batch => batch.examples)).toHaveLength(4);
    generator.reset();
    const batches = [...generator];
    expect(batches).toHaveLength(3);
    expect(new Set(batches.flatMap(batch => batch.examples))).toEqual(new Set(generator.data));
    for (const { examples, size } of batches) {
      expect(new Set(examples.map(({ input }) => input)).size).toBe(size);
      expect(new Set(examples.map(({ output }) => output)).size).toBe(size);
    }
  });

  it('of texts and numbers count from the next epoch on', () => {
    const generator = new BatchGenerator(four(), { batchSize: 4, seed: 1, noDuplicates: true });
    generator.data[1]!.input = 'in 0';
    generator.reset();
    expect(generator.length).toBe(2);
    const rows = four().map(({ inputEmb, outputEmb }) => ({ inputEmb: [...inputEmb], outputEmb }));
    const ofRows = new BatchGenerator(rows, { batchSize: 4, seed: 1, noDuplicates: true });
    expect(ofRows.length).toBe(1);
    rows[1]!.inputEmb.splice(0, 3, ...rows[0]!.inputEmb);
    ofRows.reset();
    expect(ofRows.length).toBe(2);
  });

  it('of negativeMining in mid-epoch skip duplicates from the next batch on', () => {
    const data = [pair(0, 0), pair(1, 0), pair(2, 0), pair(3, 1)];
    const generator = new BatchGenerator(data, { batchSize: 4, shuffle: false });
    generator.config.negativeMining = { strategy: 'hardest' };
    const { negatives } = generator.next().value!;
    expect(negatives!.slice(0, 3)).toEqual([1, 1, 1].map(output => pair(0, output).outputEmb));
  });

  it('of noDuplicates count from the next epoch on', () => {
    const generator = new BatchGenerator<Pair>([pair(0, 0), pair(0, 1)], { seed: 1 });
    generator.config.noDuplicates = true;
    expect([generator.length, generator.remaining]).toEqual([1, 1]);
    generator.reset();
    expect([...generator].map(({ size }) => size)).toEqual([1, 1]);
    generator.config.noDuplicates = false;
    generator.reset();
    expect([...generator].map(({ size }) => size)).toEqual([2]);
  });

  it('of batchSize and dropLast in mid-epoch count at once, except where noDuplicates has cut the epoch', () => {
    for (const noDuplicates of [false, true]) {
      const generator = new BatchGenerator(many(), { batchSize: 4, shuffle: false, noDuplicates });
      generator.next();
      generator.config.batchSize = 5;
      generator.config.dropLast = true;
      const sizes = [...generator].map(({ size }) => size);
      expect(sizes).toEqual(noDuplicates ? [4, 4, 4, 4, 3] : [5, 5, 5]);
      expect(generator.remaining).toBe(0);
    }
  });

  it('of the seed to null mean no seed', () => {
    const generator = new BatchGenerator(many(), { seed: 1, negativeMining: { strategy: 'random' } });
    generator.config.seed = null as unknown as number;
    generator.reset();
    const { indices } = generator;
    generator.setEpoch(generator.epoch);
    expect(generator.indices).not.toEqual(indices);
    expect(generator.stateDict().order).toBeDefined();
    expect(generator.next().value!.negatives).toHaveLength(8);
  });
});

describe('a state after a change in mid-epoch', () => {
  const base: BatchGeneratorOptions = { batchSize: 4, seed: 7, noDuplicates: true };

  it.each<[string, BatchGeneratorOptions, BatchGeneratorOptions]>([
    ['seed', base, { seed: 8 }],
    ['shuffle', base, { shuffle: false }],
    ['no seed', base, { seed: undefined } as unknown as BatchGeneratorOptions],
    ['noDuplicates', base, { noDuplicates: false }],
    ['noDuplicates', { ...base, noDuplicates: false }, { noDuplicates: true }],
    ['batchSize', base, { batchSize: 3 }],
    ['batchSize', { ...base, noDuplicates: false }, { batchSize: 3 }],
    ['dropLast', base, { dropLast: true }],
    ['curriculum', base, { curriculum: true }],
    ['duplicatesBy', base, { duplicatesBy: 'row' }],
    ['sampleWeights', base, { sampleWeights: many().map((_, i) => i) }],
    ['shard', base, { shard: { rank: 0, worldSize: 2 } }],
    ['shard', { ...base, shard: { rank: 1, worldSize: 2 } }, { shard: { rank: 0, worldSize: 2 } }],
    ['random negatives', base, { negativeMining: { strategy: 'random' }, seed: 3 }],
  ])('of %s continues with the same batches', (_, config, change) => {
    const generator = new BatchGenerator(many(), config);
    generator.next();
    Object.assign(generator.config, change);
    generator.next();
    const total = 'seed' in change && change.seed === undefined ? 1 : 3;
    const resumed = resumedFrom(generator, { ...config, ...change });
    expect(resumed.stateDict()).toEqual(generator.stateDict());
    const again = resumedFrom(resumed, { ...config, ...change });
    const whole = [...generator.epochs(total)];
    expect(whole.length).toBeGreaterThan(2);
    expect([...resumed.epochs(total)]).toEqual(whole);
    expect([...again.epochs(total)]).toEqual(whole);
  });

  it('of batchSize and back keeps the step numbers', () => {
    const generator = new BatchGenerator(many(), { batchSize: 4, seed: 1 });
    generator.next();
    for (const batchSize of [2, 2, 4]) {
      generator.config.batchSize = batchSize;
      generator.next();
    }
    const whole = [...generator.epochs(2)];
    const replayed = new BatchGenerator(many(), { batchSize: 4, seed: 1 });
    for (const batchSize of [4, 2, 2, 4]) {
      replayed.config.batchSize = batchSize;
      replayed.next();
    }
    const resumed = resumedFrom(replayed, { batchSize: 4, seed: 1 });
    const steps = [...resumed.epochs(2)];
    expect(steps).toEqual(whole);
    expect(steps.slice(0, 4).map(({ step }) => step)).toEqual([4, 5, 6, 7]);
  });

  it('of the length of data finishes the epoch, and adds the new examples in the next', () => {
    for (const noDuplicates of [false, true]) {
      const config = { batchSize: 4, seed: 1, noDuplicates };
      const generator = new BatchGenerator(many(), config);
      generator.next();
      generator.data.push(pair(40, 40), pair(41, 41));
      const resumed = resumedFrom(generator, config);
      const whole = [...generator.epochs(3)];
      expect([...resumed.epochs(3)]).toEqual(whole);
      expect(whole.map(({ step }) => step)).toEqual(whole.map((_, i) => i + 1));
      const sizes = [0, 1, 2].map(epoch =>
        whole.filter(each => each.epoch === epoch).reduce((sum, { batch }) => sum + batch.size, 0),
      );
      expect(sizes).toEqual([19, 25, 25]);
    }
  });

  it('of the epoch number continues from that epoch', () => {
    const generator = new BatchGenerator(many(), base);
    generator.next();
    generator.epoch = 5;
    expect([...resumedFrom(generator, base).epochs(7)]).toEqual([...generator.epochs(7)]);
  });

  it('of the indices continues with the changed indices', () => {
    const config = { batchSize: 4, seed: 1 };
    const generator = new BatchGenerator(many(), config);
    generator.next();
    generator.indices.reverse();
    expect([...resumedFrom(generator, config).epochs(2)]).toEqual([...generator.epochs(2)]);
  });

  it('of texts that noDuplicates cut the epoch by is refused with an error that names it', () => {
    const generator = new BatchGenerator(many(), base);
    generator.next();
    for (const example of generator.data) example.input = 'in 0';
    const resumed = new BatchGenerator(generator.data, base);
    const before = resumed.stateDict();
    expect(() => resumed.loadStateDict(generator.stateDict())).toThrow(
      'loadStateDict: state is of other batches than this data and configuration give',
    );
    expect(resumed.stateDict()).toEqual(before);
  });
});

describe('steps', () => {
  it('count the past batches, also when examples are added between epochs', () => {
    const generator = new BatchGenerator(four(), { batchSize: 2, seed: 1 });
    const seen: number[] = [];
    for (const { step, epoch } of generator.epochs(3)) {
      seen.push(step);
      if (epoch === 1) generator.data.push(pair(seen.length + 10, 0));
    }
    expect(seen).toEqual(seen.map((_, i) => i));
    expect(seen).toHaveLength(2 + 2 + 3);
    generator.setEpoch(1);
    expect([...generator.epochs(2)].map(({ step }) => step)).toEqual([2, 3, 4]);
  });

  it('are known at once for distant epochs', () => {
    const generator = new BatchGenerator(many(), { batchSize: 4, seed: 1 });
    generator.setEpoch(1e9);
    expect([...generator.epochs(1e9 + 1)][0]!.step).toBe(6e9);
    expect(generator.stateDict().stepsBefore).toBe(6e9 + 6);
  });
});

describe('a wrong change is an error', () => {
  const negatives = { negativeEmbs: [[1, 2, 3]] };

  it.each<[string, (generator: BatchGenerator<Pair>) => void]>([
    ['data[4] must be an object, got null', ({ data }) => data.push(null as unknown as Pair)],
    ['data[4] must be an object, got undefined', ({ data }) => (data.length = 5)],
    [
      'data[4].outputEmb must be a Float32Array, Float64Array or number[], got undefined',
      ({ data }) => data.push({ inputEmb: [1] } as unknown as Pair),
    ],
    ['data[1].inputEmb[0] must be finite, got NaN', ({ data }) => ((data[1]!.inputEmb as number[])[0] = Number.NaN)],
    [
      'data[0].quality must be a finite number, got "good"',
      ({ data }) => (data[0]!.quality = 'good' as unknown as number),
    ],
    [
      'all examples need equally many own negatives, data[4] has 1, data[0] has 0',
      ({ data }) => data.push({ ...pair(5, 5), ...negatives }),
    ],
    [
      "hardNegatives and the examples' own negatives exclude each other",
      generator => {
        generator.data = four().map(example => ({ ...example, ...negatives }));
        generator.config.hardNegatives = true;
      },
    ],
    ['data must be an array, got a Set', generator => (generator.data = new Set() as unknown as Pair[])],
    ['data must be an array, got null', generator => (generator.data = null as unknown as Pair[])],
    ['noDuplicates must be a boolean, got "yes"', ({ config }) => Object.assign(config, { noDuplicates: 'yes' })],
    ['batchSize must be an integer of at least 1, got 0', ({ config }) => (config.batchSize = 0)],
    ['seed must be an integer from 0 to 4294967295, got -1', ({ config }) => (config.seed = -1)],
    [
      "duplicatesBy must be 'exact' | 'text' | 'row', got \"texts\"",
      ({ config }) => (config.duplicatesBy = 'texts' as 'text'),
    ],
    [
      "negativeMining.strategy must be 'hardest' | 'semi-hard' | 'random', got \"soft\"",
      ({ config }) => (config.negativeMining = { strategy: 'soft' as 'hardest' }),
    ],
    ['sampleWeights has 3 rows, data has 4', ({ config }) => (config.sampleWeights = [1, 2, 3])],
    [
      'shard needs a seed, so that all workers draw one order, or shuffle: false',
      ({ config }) => Object.assign(config, { seed: null, shard: { rank: 0, worldSize: 2 } }),
    ],
    ['config must be an object, got undefined', generator => (generator.config = undefined as never)],
  ])('%s', (message, change) => {
    const generator = new BatchGenerator(four(), { batchSize: 2, seed: 1 });
    generator.next();
    const state = generator.stateDict();
    const { epoch, currentIndex, indices } = generator;
    change(generator);
    expect(() => generator.reset()).toThrow(`BatchGenerator.reset: ${message}`);
    expect(() => generator.setEpoch(0)).toThrow(`BatchGenerator.setEpoch: ${message}`);
    expect(() => generator.loadStateDict(state)).toThrow(`BatchGenerator.loadStateDict: ${message}`);
    expect([generator.epoch, generator.currentIndex]).toEqual([epoch, currentIndex]);
    expect(generator.indices).toBe(indices);
  });

  it.each<[string, (generator: BatchGenerator<Pair>) => void, own?: { negativeEmbs: number[][] }]>([
    ['data[2] must be an object, got undefined', ({ data }) => data.splice(2)],
    [
      'data[3].inputEmb must be a Float32Array, Float64Array or number[], got null',
      ({ data }) => Object.assign(data[3]!, { inputEmb: null }),
    ],
    ['batchSize must be an integer of at least 1, got 0.5', ({ config }) => (config.batchSize = 0.5)],
    [
      'hardNegatives and negativeMining exclude each other',
      ({ config }) => Object.assign(config, { hardNegatives: true, negativeMining: { strategy: 'random' } }),
    ],
    [
      "data[2] has 2 negatives of its own, this epoch's examples have 1",
      ({ data }) => Object.assign(data[2]!, { negativeEmbs: [[1], [2]] }),
    ],
    [
      "data[2] has 1 negative of its own, this epoch's examples have 2",
      ({ data }) => Object.assign(data[2]!, { negativeEmbs: [[1]] }),
      { negativeEmbs: [[1], [2]] },
    ],
  ])('in mid-epoch: %s', (message, change, own = negatives) => {
    const data = four().map(example => ({ ...example, ...own }));
    const generator = new BatchGenerator<Pair>(data, { batchSize: 2, shuffle: false });
    generator.next();
    change(generator);
    expect(() => generator.next()).toThrow(`BatchGenerator.next: ${message}`);
    expect(generator.currentIndex).toBe(2);
  });
});

describe('extra fields that a script keeps in the configuration', () => {
  it.each<[string, () => unknown]>([
    [
      'an object that holds itself',
      () => {
        const self: Record<string, unknown> = {};
        self['self'] = self;
        return self;
      },
    ],
    [
      'an object 20,000 levels deep',
      () => Array.from({ length: 20_000 }).reduce((inner: unknown) => ({ inner }), null),
    ],
    ['a BigInt', () => 1n],
  ])('may be %s, and are not part of the state', (_, make) => {
    const config = { batchSize: 2, seed: 1, trainer: make() };
    const generator = new BatchGenerator(four(), config);
    generator.next();
    const state = generator.stateDict();
    expect(state.config).not.toHaveProperty('trainer');
    const resumed = new BatchGenerator(four(), { batchSize: 2, seed: 1 });
    resumed.loadStateDict(JSON.parse(JSON.stringify(state)));
    expect(resumed.next().value!.examples).toEqual(generator.next().value!.examples);
  });
});
