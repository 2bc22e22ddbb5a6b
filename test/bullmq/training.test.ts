import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Blobs, DataParallel, LocalRounds, redisBlobs } from '../../src/bullmq.js';
import { AdamW, EWCManager, type LoRAAdapter, LossComputer, packWeights, SGD } from '../../src/index.js';
import { hasRedis, RedisServer, WorkerProcess } from '../support/redis.js';
import { BATCH, batchOf, makeAdapters, makeGenerator, through } from './tasks/training.mjs';

type Adapters = Map<string, LoRAAdapter>;

describe.skipIf(!hasRedis)('training on a real Redis', { timeout: 120_000 }, () => {
  let redis: RedisServer;
  let client: Redis;
  let blobs: Blobs;
  let queue: Queue;
  let workers: WorkerProcess[] = [];
  let count = 0;

  beforeAll(async () => {
    redis = await RedisServer.start();
    client = redis.client();
    blobs = redisBlobs(client);
    return async () => {
      client.disconnect();
      await redis.stop();
    };
  });
  afterEach(async () => {
    await Promise.all(workers.map(worker => worker.kill()));
    workers = [];
    await queue.close();
  });

  async function start(number: number, threads = 1): Promise<void> {
    queue = new Queue(`training-${count++}`, { connection: redis.connection });
    workers = Array.from({ length: number }, () => new WorkerProcess({ queue: queue.name, port: redis.port, threads }));
    await Promise.all(workers.map(worker => worker.ready()));
  }

  /** Kills worker after worker, each after 250 ms at work. */
  async function killOften(until: Promise<unknown>): Promise<number> {
    let isDone = false;
    const end = (): void => {
      isDone = true;
    };
    until.then(end, end);
    let kills = 0;
    for (let i = 0; !isDone; i = (i + 1) % workers.length) {
      await new Promise(resolve => setTimeout(resolve, 250));
      await workers[i]!.kill();
      kills++;
      workers[i] = await new WorkerProcess({ queue: queue.name, port: redis.port }).ready();
    }
    return kills;
  }

  const STEPS = 5;
  const rate = (step: number): number => 0.01 / (1 + step);

  /** An adapter's memory of another task, for a penalty. */
  function remembered(adapters: Adapters): EWCManager {
    const ewc = new EWCManager({ lambda: 10 });
    const { anchors, positives } = makeGenerator(5, 50, 50).at(0).batch;
    const examples = anchors.map((inputEmb, i) => ({ inputEmb, outputEmb: positives[i]! }));
    ewc.computeFisher(adapters, examples);
    return ewc;
  }

  function inOneProcess(withPenalty: boolean): { losses: number[]; weights: Float32Array } {
    const [adapters, generator] = [makeAdapters() as Adapters, makeGenerator()];
    const penalty = withPenalty ? remembered(adapters) : undefined;
    const optimizer = new AdamW(adapters);
    const losses = Array.from({ length: STEPS }, (_, step) => {
      const { anchors, positives, ...options } = batchOf(generator, step);
      const { loss, adapterGradients } = LossComputer.contrastive(anchors, positives, null, {
        ...options,
        adapters,
        through,
        symmetric: true,
        gradients: true,
      });
      penalty?.addPenaltyGradient(adapters, adapterGradients!);
      optimizer.step(adapterGradients!, rate(step));
      return loss;
    });
    return { losses, weights: packWeights(adapters) };
  }

  async function onWorkers(withPenalty: boolean): Promise<{ losses: number[]; weights: Float32Array }> {
    const adapters = makeAdapters() as Adapters;
    const penalty = withPenalty ? remembered(adapters) : undefined;
    const options = { queue, blobs, adapters, optimizer: new AdamW(adapters), batchSize: BATCH };
    const training = new DataParallel({ ...options, ...(penalty && { penalty }) });
    const losses: number[] = [];
    for (let step = 0; step < STEPS; step++) losses.push((await training.step(step, rate(step))).loss);
    await training.close();
    return { losses, weights: packWeights(adapters) };
  }

  // Batches of 600, 600 and 100 rows in turn: an epoch's last batch is smaller.
  it.each([
    [1, false],
    [3, true],
  ])('DataParallel has the bits of one process with %i workers, penalty: %s', async (number, withPenalty) => {
    await start(number);
    const result = await onWorkers(withPenalty);
    expect(result).toEqual(inOneProcess(withPenalty));
    expect(result.losses.at(-1)).toBeLessThan(result.losses[0]!);
    expect(await client.keys('blobs:*')).toEqual([]);
  });

  it('DataParallel has the same bits when workers are killed again and again', async () => {
    await start(2);
    const result = onWorkers(false);
    const kills = await killOften(result);
    expect(await result).toEqual(inOneProcess(false));
    expect(kills).toBeGreaterThan(2);
  });

  it.each<[number, number, object, number]>([
    [1, 1, {}, 1],
    [2, 1, {}, 2],
    [2, 2, {}, 3],
    [2, 1, { chunk: 256 }, 3],
    [2, 2, { chunk: 512 }, 2],
  ])('DataParallel with %i workers of %i threads and %o gives a step %i jobs', async (number, threads, chunk, jobs) => {
    await start(number, threads);
    const adapters = makeAdapters() as Adapters;
    const options = { queue, blobs, adapters, optimizer: new SGD(adapters), batchSize: BATCH, ...chunk };
    const training = new DataParallel(options);
    const { rows } = await training.gradients(0);
    expect(rows).toBe(600);
    expect(await queue.getCompletedCount()).toBe(jobs);
    await training.close();
  });

  it('DataParallel works with a slow store, and passes on the error of one that fails', async () => {
    await start(1);
    const adapters = makeAdapters() as Adapters;
    const slow: Blobs = {
      ...blobs,
      async put(key, bytes) {
        await new Promise(resolve => setTimeout(resolve, 300));
        await blobs.put(key, bytes);
      },
    };
    const options = { queue, adapters, optimizer: new SGD(adapters), batchSize: BATCH };
    const training = new DataParallel({ ...options, blobs: slow });
    expect((await training.gradients(0)).rows).toBe(600);
    const full = async (): Promise<void> => {
      throw new Error('the disk is full');
    };
    const failing = new DataParallel({ ...options, blobs: { ...blobs, put: full } });
    await expect(failing.gradients(0)).rejects.toThrow('the disk is full');
    await Promise.all([training.close(), failing.close()]);
    expect(await client.keys('blobs:*')).toEqual([]);
  });

  it('two trainings share a queue', async () => {
    await start(2);
    const results = await Promise.all([onWorkers(false), onWorkers(false)]);
    expect(results).toEqual([inOneProcess(false), inOneProcess(false)]);
  });

  it('DataParallel stops at a signal and at a failing task, with the weights unchanged', async () => {
    await start(1);
    const adapters = makeAdapters() as Adapters;
    const before = packWeights(adapters);
    const options = { queue, blobs, adapters, optimizer: new SGD(adapters, { lr: 0.1 }), batchSize: BATCH };
    const training = new DataParallel({ ...options, task: 'square' });
    await expect(training.step(0, 0.1)).rejects.toThrow(
      'DataParallel.gradients: step 0, rows 0 to 600: the result is NaN, which JSON does not keep',
    );
    const signal = AbortSignal.timeout(50);
    await expect(new DataParallel(options).step(0, 0.1, { signal })).rejects.toThrow('timeout');
    const small = new DataParallel({ ...options, batchSize: 300 });
    await expect(small.step(0, 0.1)).rejects.toThrow("the workers' batch has 600 rows, but batchSize is 300");
    expect(packWeights(adapters)).toEqual(before);
    await Promise.all([training.close(), small.close()]);
  });

  async function rounds(
    lr: number,
    options: object = {},
    numberOf = 3,
  ): Promise<{ refused: unknown; weights: Float32Array; loss: number }> {
    const adapters = makeAdapters() as Adapters;
    const training = new LocalRounds({ queue, blobs, adapters, shards: 3, localSteps: 4, ...options });
    let result = { loss: 0, refused: [] as unknown[] };
    for (let round = 0; round < numberOf; round++) result = await training.round(round, lr);
    await training.close();
    return { ...result, weights: packWeights(adapters) };
  }

  /** The same rounds by plain loops. */
  function roundsByHand(lr: number, shards: readonly number[], numberOf = 3): Float32Array {
    const generators = [1, 2, 3].map(seed => makeGenerator(seed, 200, 50));
    let weights = packWeights(makeAdapters() as Adapters);
    for (let round = 0; round < numberOf; round++) {
      const deltas = shards.map(shard => {
        const adapters = makeAdapters() as Adapters;
        const flat = weights;
        let at = 0;
        for (const { loraA, loraB } of adapters.values())
          for (const row of [...loraA, ...loraB]) for (let k = 0; k < row.length; k++) row[k] = flat[at++]!;
        const optimizer = new SGD(adapters, { lr });
        for (let i = 0; i < 4; i++) {
          const { anchors, positives, ...options } = batchOf(generators[shard]!, 4 * round + i);
          const loss = { ...options, adapters, through, gradients: true } as const;
          optimizer.step(LossComputer.contrastive(anchors, positives, null, loss).adapterGradients!, lr);
        }
        return packWeights(adapters).map((weight, k) => weight - flat[k]!);
      });
      weights = weights.map((weight, k) => {
        const sum = deltas.reduce((total, delta) => total + delta[k]! / deltas.length, 0);
        return weight + Math.fround(sum);
      });
    }
    return weights;
  }

  function expectNear(actual: Float32Array, expected: Float32Array): void {
    expect(actual.length).toBe(expected.length);
    actual.forEach((value, k) => {
      expect(Math.abs(value - expected[k]!)).toBeLessThan(1e-6);
    });
  }

  it('LocalRounds averages what plain loops average, also when workers are killed', async () => {
    await start(2);
    const undisturbed = await rounds(0.1);
    expect(undisturbed.refused).toEqual([]);
    expectNear(undisturbed.weights, roundsByHand(0.1, [0, 1, 2]));
    const disturbed = rounds(0.1);
    expect(await killOften(disturbed)).toBeGreaterThan(0);
    expect(await disturbed).toEqual(undisturbed);
  });

  it('LocalRounds goes on without a late shard, and names it; the worker ends it', async () => {
    await start(2);
    const { refused, weights } = await rounds(0.5, { deadlineMs: 3000 }, 3);
    expect(refused).toEqual([{ shard: 2, reason: 'is late' }]);
    expectNear(weights, roundsByHand(0.5, [0, 1], 3));
  });

  it.each<[string, object]>([
    ['maxNormRatio must be', { maxNormRatio: 0.5 }],
    ['method must be', { method: 'mode' }],
    ['weights has 1 row, updates has 3', { weights: [1] }],
    ['weights are not read with method', { weights: [1, 2, 3], method: 'median' }],
    ['accept must be a function, got 5', { accept: 5 }],
    ['adapters is empty', { adapters: new Map() }],
    ['shards must be an integer of at least 1, got 0', { shards: 0 }],
    ['deadlineMs must be', { deadlineMs: 0 }],
  ])('LocalRounds refuses %s', (message, wrong) => {
    queue = new Queue('wrong-rounds', { connection: redis.connection });
    const options = { queue, blobs, adapters: makeAdapters() as Adapters, shards: 3, localSteps: 1, ...wrong };
    expect(() => new LocalRounds(options)).toThrow(`LocalRounds: ${message}`);
  });

  it('refuses a worker with other adapters, and a step before the last one is done', async () => {
    await start(1);
    const adapters = makeAdapters() as Adapters;
    const before = packWeights(adapters);
    const options = { queue, blobs, batchSize: BATCH, attempts: 1 };
    const trainings = [
      new Map([...adapters].reverse()),
      new Map([...adapters].map(([name, { loraA, loraB }]) => [name, { loraA, loraB, scaling: 9 }])),
    ].map(others => new DataParallel({ ...options, adapters: others, optimizer: { step() {} } }));
    for (const training of trainings) {
      await expect(training.step(0, 0.1)).rejects.toThrow(
        /the coordinator has the adapters .*, this worker has query 16×/,
      );
      await training.close();
    }
    const training = new DataParallel({ ...options, adapters, optimizer: new SGD(adapters) });
    const [first, second] = await Promise.allSettled([training.step(0, 0), training.step(1, 0)]);
    expect(first.status).toBe('fulfilled');
    expect((second as PromiseRejectedResult).reason.message).toBe(
      'DataParallel.step: the last call is not done; await it',
    );
    await expect(training.step(0, 0, { sginal: 1 } as never)).rejects.toThrow('unknown option "sginal"');
    await training.close();
    expect(packWeights(adapters)).toEqual(before);
  });

  it.each<[string, object]>([
    ['chunk must be a multiple of 256 with these adapters, got 100', { chunk: 100 }],
    ['batchSize must be an integer of at least 1, got undefined', { batchSize: undefined }],
    ['unknown option "batch"; did you mean batchSize?', { batch: 3 }],
    ['optimizer.step must be a function, got undefined', { optimizer: {} }],
    ['penalty.addPenaltyGradient must be a function, got undefined', { penalty: {} }],
  ])('DataParallel refuses %s', async (message, wrong) => {
    queue = new Queue('wrong', { connection: redis.connection });
    const adapters = makeAdapters() as Adapters;
    const options = { queue, blobs, adapters, optimizer: new AdamW(adapters), batchSize: 5, ...wrong };
    expect(() => new DataParallel(options)).toThrow(`DataParallel: ${message}`);
  });
});
