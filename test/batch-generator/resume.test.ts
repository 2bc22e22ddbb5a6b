import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BatchGenerator,
  type BatchGeneratorOptions,
  type BatchGeneratorState,
  type EmbeddedExample,
} from '../../src/index.js';

const data = Array.from({ length: 23 }, (_, i) => ({
  input: `in ${i % 17}`,
  output: `out ${i % 19}`,
  inputEmb: [Math.cos(i), Math.sin(i)],
  outputEmb: [Math.sin(2 * i), Math.cos(3 * i)],
  quality: (i % 4) / 3,
}));
const inOrder = data.map((_, i) => i);
const [TOTAL, BATCH_SIZE] = [4, 4];

const options: fc.Arbitrary<BatchGeneratorOptions> = fc
  .record({
    shuffle: fc.boolean(),
    curriculum: fc.boolean(),
    dropLast: fc.boolean(),
    noDuplicates: fc.boolean(),
    isWeighted: fc.boolean(),
    shard: fc.option(fc.constantFrom({ rank: 1, worldSize: 2 }, { rank: 2, worldSize: 3, pad: 'none' } as const), {
      nil: undefined,
    }),
    strategy: fc.option(fc.constantFrom('hardest', 'semi-hard', 'random'), { nil: undefined }),
  })
  .map(({ isWeighted, shard, strategy, ...others }) => ({
    ...others,
    batchSize: BATCH_SIZE,
    curriculumEpochs: 2,
    seed: 7,
    ...(isWeighted && { sampleWeights: data.map((_, i) => i % 5) }),
    ...(shard && { shard }),
    ...(strategy && { negativeMining: { strategy } }),
  }));

describe('a state taken after any batch', () => {
  it('continues as the uninterrupted run does, with all options', () => {
    fc.assert(
      fc.property(options, fc.nat(99), (config, place) => {
        const generator = new BatchGenerator(data, config);
        const whole: unknown[] = [];
        const states = [JSON.stringify(generator.stateDict())];
        for (const each of generator.epochs(TOTAL)) {
          whole.push(each);
          states.push(JSON.stringify(generator.stateDict()));
        }
        const done = place % states.length;
        const resumed = new BatchGenerator(data, config);
        resumed.loadStateDict(JSON.parse(states[done]!) as BatchGeneratorState);
        expect([...resumed.epochs(TOTAL)]).toEqual(whole.slice(done));
      }),
      { numRuns: 150 },
    );
  });

  it('continues to the end of the epoch without a seed', () => {
    for (const noDuplicates of [false, true]) {
      const config = { batchSize: BATCH_SIZE, noDuplicates };
      const generator = new BatchGenerator(data, config);
      generator.reset();
      generator.next();
      const state = JSON.parse(JSON.stringify(generator.stateDict())) as BatchGeneratorState;
      const resumed = new BatchGenerator(data, config);
      resumed.loadStateDict(state);
      expect(resumed.epoch).toBe(1);
      expect([...resumed]).toEqual([...generator]);
    }
  });

  it('continues in another process after the first was killed in mid-epoch', async () => {
    const script = fileURLToPath(new URL('../support/interrupted-loader.mjs', import.meta.url));
    const folder = mkdtempSync(join(tmpdir(), 'resume-'));
    const [whole, first] = [join(folder, 'whole'), join(folder, 'interrupted')];
    const linesOf = (path: string): string[] => readFileSync(`${path}.log`, 'utf8').trimEnd().split('\n');
    try {
      execFileSync(process.execPath, [script, whole]);

      const child = spawn(process.execPath, [script, first, 'slowly'], { stdio: ['ignore', 'pipe', 'inherit'] });
      let seen = 0;
      child.stdout.on('data', chunk => {
        seen += String(chunk).split('\n').length - 1;
        // An epoch has seven batches, so the fifth is in the middle of the first epoch.
        if (seen >= 5) child.kill('SIGKILL');
      });
      const signal = await new Promise(resolve => child.on('exit', (_, by) => resolve(by)));
      expect(signal).toBe('SIGKILL');
      const { epoch, currentIndex } = JSON.parse(readFileSync(`${first}.json`, 'utf8')) as BatchGeneratorState;
      expect([epoch, currentIndex]).not.toContain(undefined);
      expect(linesOf(first).length).toBeLessThan(linesOf(whole).length);

      execFileSync(process.execPath, [script, first]);
      expect(linesOf(first)).toEqual(linesOf(whole));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A state as version 1.1 wrote it. */
function version11({ stepsBefore, orderHash, ...state }: BatchGeneratorState, lengths: number[]): BatchGeneratorState {
  expect([stepsBefore, orderHash]).not.toContain(undefined);
  return { ...state, lengths };
}

describe('a state of version 1.1', () => {
  it.each<[string, BatchGeneratorOptions, boolean]>([
    ['in mid-epoch', { seed: 7, dropLast: true }, true],
    [
      'at the start of an epoch without duplicates, whose lengths differ',
      { seed: 7, noDuplicates: true, dropLast: true },
      false,
    ],
    ['at the start of an epoch without duplicates, whose lengths do not', { seed: 7, noDuplicates: true }, false],
  ])('%s, resumes', (_, others, isBetween) => {
    const config = { ...others, batchSize: BATCH_SIZE };
    const generator = new BatchGenerator(data, config);
    const lengths: number[] = [];
    for (let epoch = 0; epoch < 2; epoch++) {
      lengths.push(generator.length);
      generator.reset();
    }
    if (isBetween) generator.next();
    const resumed = new BatchGenerator(data, config);
    resumed.loadStateDict(version11(generator.stateDict(), others.noDuplicates && others.dropLast ? lengths : []));
    expect([...resumed.epochs(4)]).toEqual([...generator.epochs(4)]);
  });
});

describe('loadStateDict', () => {
  const config = { batchSize: BATCH_SIZE, seed: 7, noDuplicates: true };
  const good = (): BatchGeneratorState => {
    const generator = new BatchGenerator(data, config);
    generator.next();
    return generator.stateDict();
  };

  it.each<[string, (state: BatchGeneratorState) => unknown]>([
    ['loadStateDict: state must be an object, got null', () => null],
    ['loadStateDict: state is of 22 examples, this generator has 23', state => ({ ...state, dataLength: 22 })],
    [
      'loadStateDict: state has batchSize 8, this generator has 4',
      state => ({ ...state, config: { ...state.config, batchSize: 8 } }),
    ],
    [
      'loadStateDict: state has shard {"rank":0,"worldSize":2,"pad":"repeat"}, this generator has undefined',
      state => ({ ...state, config: { ...state.config, shard: { rank: 0, worldSize: 2, pad: 'repeat' } } }),
    ],
    [
      'loadStateDict: state.epoch must be an integer from 0 to 9007199254740991, got -1',
      state => ({ ...state, epoch: -1 }),
    ],
    ['loadStateDict: state.currentIndex must be where a batch starts, got 5', state => ({ ...state, currentIndex: 5 })],
    [
      'loadStateDict: state.currentIndex must be where a batch starts, got 99',
      state => ({ ...state, currentIndex: 99 }),
    ],
    [
      'loadStateDict: state.stepsBefore must be an integer from 0 to 9007199254740991, got 0.5',
      state => ({ ...state, stepsBefore: 0.5 }),
    ],
    [
      'loadStateDict: state.lengths must be an array, got undefined',
      ({ stepsBefore, ...state }) => ({ ...state, expected: stepsBefore }),
    ],
    ['loadStateDict: state.lengths has 2 entries, expected 0', state => version11(state, [7, 7])],
    ['loadStateDict: state.lengths[0] must be an integer from 0 to 23, got 0.5', state => version11(state, [0.5])],
    [
      'loadStateDict: state is of version 1.1, whose noDuplicates made other batches, in mid-epoch',
      state => version11(state, []),
    ],
    [
      'loadStateDict: state is of other batches than this data and configuration give',
      state => ({ ...state, orderHash: (state.orderHash! + 1) >>> 0 }),
    ],
    [
      'loadStateDict: state.orderHash must be an integer from 0 to 9007199254740991, got "7"',
      state => ({ ...state, orderHash: '7' }),
    ],
    [
      'loadStateDict: state.order.changed.batchesDone must be an integer from 0 to 9007199254740991, got -1',
      state => ({ ...state, order: { indices: inOrder, changed: { dataLength: 23, batchesDone: -1 } } }),
    ],
    [
      'loadStateDict: state.order.indices[22] must be an integer from 0 to 21, got 22',
      state => ({ ...state, order: { indices: inOrder, changed: { dataLength: 22, batchesDone: 1 } } }),
    ],
  ])('%s', (message, damage) => {
    const generator = new BatchGenerator(data, config);
    const before = generator.stateDict();
    expect(() => generator.loadStateDict(damage(good()) as BatchGeneratorState)).toThrow(message);
    expect(generator.stateDict()).toEqual(before);
  });

  it.each<[string, object]>([
    ['loadStateDict: state.order must be an object, got undefined', { order: undefined }],
    [
      'loadStateDict: state.order.indices[0] must be an integer from 0 to 22, got 23',
      { order: { indices: [23], starts: [0, 1] } },
    ],
    ['loadStateDict: state.order.indices must hold each example once', { order: { indices: [0, 1], starts: [0, 2] } }],
    [
      'loadStateDict: state.order.indices must hold each example once',
      { order: { indices: data.map(() => 0), starts: [0, 23] } },
    ],
    ['loadStateDict: state.order.starts must be an array, got undefined', { order: { indices: inOrder } }],
    ['loadStateDict: state.order.starts must ascend from 0 to 23', { order: { indices: inOrder, starts: [0, 1] } }],
    [
      'loadStateDict: state.order.starts must ascend from 0 to 23',
      { order: { indices: inOrder, starts: [0, 2, 1, 23] } },
    ],
  ])('without a seed: %s', (message, damage) => {
    const generator = new BatchGenerator(data, { batchSize: BATCH_SIZE, noDuplicates: true });
    const before = generator.stateDict();
    expect(() => generator.loadStateDict({ ...before, ...damage } as BatchGeneratorState)).toThrow(message);
    expect(generator.stateDict()).toEqual(before);
  });
});

describe('a state of other data', () => {
  const dataOf = (phase: number, count = 40): EmbeddedExample[] =>
    Array.from({ length: count }, (_, i) => ({
      inputEmb: [Math.sin(phase + i), 1],
      outputEmb: Float32Array.of(1, Math.cos(phase + i)),
    }));

  it('is refused by its embeddings and changes nothing, unless its fingerprint is deleted', () => {
    const options = { batchSize: 4, seed: 1 };
    const [one, same, other] = [dataOf(0), dataOf(0), dataOf(1)].map(data => new BatchGenerator(data, options));
    one!.next();
    const state = JSON.parse(JSON.stringify(one!.stateDict())) as BatchGeneratorState;
    same!.loadStateDict(state);
    expect(same!.stateDict()).toEqual(one!.stateDict());
    const before = other!.stateDict();
    expect(() => other!.loadStateDict(state)).toThrow(
      'loadStateDict: state belongs to other embeddings than this data; delete state.fingerprint to continue with other data',
    );
    expect(other!.stateDict()).toEqual(before);
    delete state.fingerprint;
    other!.loadStateDict(state);
    expect(other!.currentIndex).toBe(4);
  });

  it('is recognised by every example of small data, and by every sixteenth example of large data', () => {
    for (const count of [1, 5, 16, 160]) {
      const state = new BatchGenerator(dataOf(0, count), { seed: 1 }).stateDict();
      for (let i = 0; i < count; i += count === 160 ? 10 : 1) {
        const changed = dataOf(0, count);
        changed[i] = { ...changed[i]!, outputEmb: [1, 0.5] };
        expect(() => new BatchGenerator(changed, { seed: 1 }).loadStateDict(state)).toThrow('other embeddings');
      }
    }
    expect(new BatchGenerator([], { seed: 1 }).stateDict().fingerprint).toBeUndefined();
  });
});
