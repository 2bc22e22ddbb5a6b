import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Blobs,
  DataParallel,
  mapShards,
  redisBlobs,
  type TrainingWorker,
  type TrainingWorkerOptions,
  trainingWorker,
} from '../../src/bullmq.js';
import { AdamW, LoRAAdapter, packWeights } from '../../src/index.js';
import { hasRedis, RedisServer } from '../support/redis.js';

const tasks = Object.fromEntries(
  ['square', 'errors'].map(name => [name, new URL(`tasks/${name}.mjs`, import.meta.url)]),
);

describe.skipIf(!hasRedis)('trouble on a real Redis', { timeout: 30_000 }, () => {
  let redis: RedisServer;
  let client: Redis;
  let blobs: Blobs;
  let queues: Queue[] = [];
  let workers: TrainingWorker[] = [];
  let count = 0;

  beforeAll(async () => {
    redis = await RedisServer.start();
    client = redis.client();
    client.on('error', () => {});
    blobs = redisBlobs(client);
    return async () => {
      client.disconnect();
      await redis.stop();
    };
  });
  afterEach(async () => {
    await Promise.all(workers.map(worker => worker.close(true)));
    await Promise.all(queues.map(queue => queue.close()));
    [workers, queues] = [[], []];
  });

  function newQueue(connection: object = redis.connection): Queue {
    const queue = new Queue(`trouble-${count++}`, { connection: { ...connection, retryStrategy: () => 100 } });
    queue.on('error', () => {});
    queues.push(queue);
    return queue;
  }

  async function start(queue: Queue, options: Partial<TrainingWorkerOptions> = {}): Promise<TrainingWorker> {
    const { connection } = redis;
    const worker = await trainingWorker({
      queue: queue.name,
      connection,
      blobs,
      tasks,
      lockDuration: 1000,
      ...options,
    });
    workers.push(worker);
    return worker;
  }

  /** A training whose jobs no worker takes. */
  function trainingOn(queue: Queue): DataParallel {
    const adapters = new Map([['query', new LoRAAdapter({ dim: 4, rank: 1, seed: 1 })]]);
    return new DataParallel({ queue, blobs, adapters, optimizer: new AdamW(adapters), batchSize: 4 });
  }

  /** What a call rejects with, and after how long. */
  async function failureOf(call: Promise<unknown>): Promise<{ message: string; ms: number }> {
    const begin = performance.now();
    const error = await call.then(
      () => new Error('it did not fail'),
      reason => reason,
    );
    return { message: error.message, ms: performance.now() - begin };
  }

  it('a wrong password is an error at once', async () => {
    await client.config('SET', 'requirepass', 'secret');
    const quiet = { onError: () => {} };
    for (const [password, reason] of [
      [undefined, /NOAUTH/],
      ['wrong', /WRONGPASS/],
    ] as const) {
      const connection = { ...redis.connection, ...(password && { password }) };
      const queue = newQueue(connection);
      const map = (): Promise<unknown> => mapShards(queue, 'square', [{ number: 1 }]);
      for (const call of [map, () => start(queue, { connection, ...quiet })]) {
        const { message, ms } = await failureOf(call());
        expect(message).toMatch(/^(mapShards|trainingWorker): there is no connection to Redis: /);
        expect(message).toMatch(reason);
        expect(ms).toBeLessThan(5000);
      }
    }
    await client.config('SET', 'requirepass', '');
  });

  it('a signal ends the wait for a server that is not there, or goes away', async () => {
    const nowhere = newQueue({ host: '127.0.0.1', port: 1 });
    const signal = AbortSignal.timeout(200);
    const calls = [
      mapShards(nowhere, 'square', [{ number: 1 }], { signal }),
      trainingOn(nowhere).step(0, 0.1, { signal }),
    ].map(failureOf);
    for (const { message, ms } of await Promise.all(calls)) {
      expect(message).toContain('timeout');
      expect(ms).toBeLessThan(3000);
    }

    const queue = newQueue();
    const controller = new AbortController();
    await mapShards(queue, 'square', [], { signal: controller.signal });
    await queue.waitUntilReady();
    const training = trainingOn(queue);
    const { signal: late } = controller;
    const ends = [
      mapShards(queue, 'square', [{ number: 1 }], { signal: late }),
      training.step(0, 0.1, { signal: late }),
    ].map(failureOf);
    while ((await queue.getWaitingCount()) < 2) await sleep(20);
    await redis.kill();
    await sleep(100);
    controller.abort(new Error('enough'));
    const failures = await Promise.all(ends);
    await training.close();
    // The queue has been connected. This call finds Redis away.
    const third = AbortSignal.timeout(200);
    const last = await failureOf(mapShards(queue, 'square', [{ number: 2 }], { signal: third }));
    await redis.restart();
    expect(last.message).toContain('timeout');
    expect(last.ms).toBeLessThan(5000);
    for (const { message, ms } of failures) {
      expect(message).toBe('enough');
      expect(ms).toBeLessThan(5000);
    }
  });

  it('a queue that is closed is refused, also in mid-call; closing a training ends its call', async () => {
    const [queue, other] = [newQueue(), newQueue()];
    const open = failureOf(mapShards(queue, 'square', [{ number: 1 }]));
    while ((await queue.getWaitingCount()) === 0) await sleep(20);
    await queue.close();
    expect(await open).toMatchObject({ message: 'mapShards: the queue is closed' });
    await expect(mapShards(queue, 'square', [{ number: 1 }])).rejects.toThrow('mapShards: the queue is closed');
    const training = trainingOn(other);
    const step = failureOf(training.step(0, 0.1));
    while ((await other.getWaitingCount()) === 0) await sleep(20);
    await training.close();
    expect(await step).toMatchObject({ message: 'it was closed before its jobs were done' });
  });

  it.each([
    [1, 3],
    [2, 1],
    [3, 2],
    [3, 5],
  ])(
    'a worker of %i threads that is closed by force gives %i jobs back, without an attempt',
    async (threads, number) => {
      const [queue, folder] = [newQueue(), mkdtempSync(join(tmpdir(), 'trouble-'))];
      const [waitFor, log] = [join(folder, 'go'), join(folder, 'log')];
      const first = await start(queue, { threads, lockDuration: 30_000 });
      const shards = Array.from({ length: number }, (_, i) => ({ number: i, waitFor, log }));
      const results = mapShards(queue, 'square', shards, { attempts: 1 });
      while ((await queue.getActiveCount()) < Math.min(threads, number)) await sleep(20);
      await first.close(true);
      expect(await queue.getJobCounts('active', 'waiting')).toEqual({ active: 0, waiting: number });
      writeFileSync(waitFor, '');
      await sleep(300);
      expect(existsSync(log)).toBe(false);
      await start(queue);
      expect(await results).toEqual(shards.map(shard => shard.number ** 2));
      rmSync(folder, { recursive: true });
    },
  );

  it('a worker that is closed while Redis is away ends', async () => {
    const [idle, busy] = [newQueue(), newQueue()];
    const workers = [await start(idle), await start(busy)];
    const controller = new AbortController();
    const { signal } = controller;
    const call = failureOf(mapShards(busy, 'errors', ['never'], { signal }));
    while ((await busy.getActiveCount()) === 0) await sleep(20);
    await redis.kill();
    const begin = performance.now();
    await Promise.all([workers[0]!.close(), workers[1]!.close(true)]);
    expect(performance.now() - begin).toBeLessThan(15_000);
    controller.abort(new Error('enough'));
    expect((await call).message).toBe('enough');
    await redis.restart();
  });

  it('a task that never returns ends after timeoutMs, and the worker goes on', async () => {
    const queue = newQueue();
    await start(queue, { timeoutMs: 300 });
    await expect(mapShards(queue, 'errors', ['never'], { attempts: 1 })).rejects.toThrow(
      'shards[0] "never": the task took more than 300 ms',
    );
    expect(await mapShards(queue, 'errors', ['fine'])).toEqual(['fine']);
  });

  it.each([
    ['dom', 'the model took too long'],
    ['text', 'a text'],
    ['plain', 'plain'],
    ['cause', 'outer'],
    ['bare', 'a value without text'],
    ['empty', 'RangeError'],
    ['delayed', 'limit of the API'],
    ['function', '() => 1 could not be cloned.'],
  ])('the message of an error comes through: %s', async (kind, message) => {
    const queue = newQueue();
    await start(queue);
    await expect(mapShards(queue, 'errors', [kind], { attempts: 1 })).rejects.toThrow(
      `shards[0] "${kind}": ${message}`,
    );
  });

  it.each([
    ['NaN', 'the result.loss is NaN'],
    ['map', 'the result is a Map'],
    ['floats', 'the result.row is a Float32Array'],
  ])('a result that JSON would change fails at the first attempt: %s', async (kind, message) => {
    const queue = newQueue();
    await start(queue);
    await expect(mapShards(queue, 'errors', [kind])).rejects.toThrow(`${message}, which JSON does not keep`);
    const [job] = await queue.getFailed();
    expect(job!.attemptsMade).toBe(1);
  });

  it('an error of the name UnrecoverableError is final, and a long message is cut', async () => {
    const queue = newQueue();
    await start(queue);
    await expect(mapShards(queue, 'errors', ['final'])).rejects.toThrow('there is no such file');
    expect((await queue.getFailed())[0]!.attemptsMade).toBe(1);
    const { message } = await failureOf(mapShards(queue, 'errors', ['long'], { attempts: 1 }));
    expect(message.length).toBeLessThan(2200);
  });

  it('the order of properties does not matter for what is done already', async () => {
    const [queue, log] = [newQueue(), join(mkdtempSync(join(tmpdir(), 'trouble-')), 'log')];
    await start(queue);
    expect(await mapShards(queue, 'square', [{ number: 2, log }])).toEqual([4]);
    expect(await mapShards(queue, 'square', [{ log, number: 2 }])).toEqual([4]);
    expect(readFileSync(log, 'utf8')).toBe('2\n');
  });

  it('the call waits for promises of onProgress', async () => {
    const queue = newQueue();
    await start(queue);
    const seen: unknown[] = [];
    const onProgress = async ({ result }: { result: unknown }): Promise<void> => {
      await sleep(50);
      seen.push(result);
      if (result === 9) throw new Error('the disk is full');
    };
    await mapShards(queue, 'square', [{ number: 2 }], { onProgress });
    expect(seen).toEqual([4]);
    await expect(mapShards(queue, 'square', [{ number: 3 }], { onProgress })).rejects.toThrow('the disk is full');
  });

  it('an error of onProgress ends the call, on a new run and on one that finds results', async () => {
    const queue = newQueue();
    await start(queue);
    const onProgress = (): void => {
      throw new Error('a bug');
    };
    const shards = [1, 2, 3].map(number => ({ number }));
    await expect(mapShards(queue, 'square', shards, { onProgress })).rejects.toThrow('a bug');
    expect(await mapShards(queue, 'square', shards)).toEqual([1, 4, 9]);
    await expect(mapShards(queue, 'square', shards, { onProgress })).rejects.toThrow('a bug');
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['a number', 3],
    ['the bytes of others', { blob: 'precious', bytes: 1 }],
  ])('a result that no trainingWorker wrote is refused: %s', async (_, result) => {
    await blobs.put('precious', Uint8Array.of(1));
    const queue = newQueue();
    const foreign = new Worker(queue.name, async () => result, { connection: redis.connection });
    const refusal = 'the result in Redis is not that of a trainingWorker';
    await expect(mapShards(queue, 'square', [{ number: 2 }])).rejects.toThrow(refusal);
    const adapters = new Map([['query', new LoRAAdapter({ dim: 4, rank: 1, seed: 1 })]]);
    const before = packWeights(adapters);
    const options = { queue, blobs, adapters, optimizer: new AdamW(adapters), batchSize: 4 };
    const training = new DataParallel(options);
    await expect(training.step(0, 0.1)).rejects.toThrow(refusal);
    await training.close();
    expect(packWeights(adapters)).toEqual(before);
    expect(await blobs.has('precious')).toBe(true);
    await foreign.close();
    await start(queue);
    expect(await mapShards(queue, 'square', [{ number: 2 }])).toEqual([4]);
  });

  it.each<[string, Partial<TrainingWorkerOptions>]>([
    ['tasks["x"]: there is no file /nowhere.mjs', { tasks: { x: '/nowhere.mjs' } }],
    ['tasks["x"]: there is no file https://a.example/x.mjs', { tasks: { x: 'https://a.example/x.mjs' } }],
    ['tasks["x"] must be a URL or a path of a module, got 3', { tasks: { x: 3 as never } }],
    ['timeoutMs must be an integer of at least 1, got 0', { timeoutMs: 0 }],
  ])('trainingWorker refuses %s', async (message, options) => {
    const all = { queue: 'q', connection: redis.connection, blobs, tasks, ...options };
    await expect(trainingWorker(all)).rejects.toThrow(`trainingWorker: ${message}`);
  });
});
