import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { mapShards, redisBlobs, type ShardProgress, ShardsFailed } from '../../src/bullmq.js';
import { mulberry32 } from '../support/golden.js';
import { hasRedis, RedisServer, WorkerProcess } from '../support/redis.js';

describe.skipIf(!hasRedis)('mapShards on a real Redis', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'shards-'));
  let redis: RedisServer;
  let workers: WorkerProcess[] = [];
  let queues: Queue[] = [];
  let logs = 0;

  beforeAll(async () => {
    redis = await RedisServer.start();
    return () => redis.stop();
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  afterEach(async () => {
    await Promise.all(workers.map(worker => worker.kill()));
    await Promise.all(queues.map(queue => queue.close()));
    [workers, queues] = [[], []];
  });

  function queueOf(name: string): Queue {
    const queue = new Queue(name, { connection: { ...redis.connection, retryStrategy: () => 50 } });
    queue.on('error', () => {});
    queues.push(queue);
    return queue;
  }

  async function start(name: string, settings: object = {}): Promise<WorkerProcess> {
    const worker = new WorkerProcess({ queue: name, port: redis.port, ...settings });
    workers.push(worker);
    return worker.ready();
  }

  /** A file of its own for the lines of a test. */
  function newLog(): string {
    return join(folder, `log-${logs++}`);
  }
  const linesOf = (log: string): number[] =>
    existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').map(Number) : [];
  const shardsOf = (count: number, more: object): object[] =>
    Array.from({ length: count }, (_, number) => ({ number, ...more }));
  const squares = (count: number): number[] => Array.from({ length: count }, (_, number) => number * number);

  it('returns values and bytes in order, tells its progress, and finds what is done', async () => {
    const [queue, log] = [queueOf('plain'), newLog()];
    await Promise.all([start('plain'), start('plain')]);
    const progress: number[] = [];
    const seen: unknown[] = [];
    const onProgress = ({ done, total, failed, index, result }: ShardProgress): void => {
      progress.push(done);
      seen[index] = result;
      expect([total, failed]).toEqual([30, 0]);
    };
    expect(await mapShards(queue, 'square', shardsOf(30, { log }), { onProgress })).toEqual(squares(30));
    expect(seen).toEqual(squares(30));
    expect(progress).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(await mapShards(queue, 'square', shardsOf(31, { log }))).toEqual(squares(31));
    expect(linesOf(log).sort((a, b) => a - b)).toEqual(Array.from({ length: 31 }, (_, i) => i));

    const client = redis.client();
    const blobs = redisBlobs(client);
    const shards = [{ number: 7, log, asBytes: true }];
    const [first] = await mapShards<{ blob: string; bytes: number }>(queue, 'square', shards, { blobs });
    expect(first!.bytes).toBe(2);
    expect([...(await blobs.get(first!.blob))!]).toEqual([7, 49]);
    await blobs.delete([first!.blob]);
    const [again] = await mapShards<{ blob: string }>(queue, 'square', shards, { blobs });
    expect([...(await blobs.get(again!.blob))!]).toEqual([7, 49]);
    client.disconnect();
  });

  it('names failed shards, keeps the results of the others, and tries again when it is called again', async () => {
    const queue = queueOf('poison');
    await start('poison');
    const failUntil = join(folder, 'cured');
    const shards = [{ number: 1 }, { number: 2, failUntil }, { number: 3, exit: true }];
    const error = await mapShards(queue, 'square', shards, { attempts: 2 }).catch(reason => reason);
    expect(error).toBeInstanceOf(ShardsFailed);
    expect(error.message).toContain('mapShards: 2 of 3 shards failed: shards[1] {"number":2');
    expect(error.message).toContain('2 is poisoned; shards[2] {"number":3');
    expect(error.message).toContain('the thread of the task ended with code 3');
    expect(error.failures.map(({ index }: { index: number }) => index)).toEqual([1, 2]);
    expect(error.results).toEqual([1, undefined, undefined]);
    writeFileSync(failUntil, '');
    expect(await mapShards(queue, 'square', shards.slice(0, 2), { attempts: 1 })).toEqual([1, 4]);
  });

  it('loses and doubles nothing when workers are killed 20 times', async () => {
    const [queue, log, random] = [queueOf('kills'), newLog(), mulberry32(7)];
    await Promise.all([start('kills'), start('kills')]);
    let kills = 0;
    let isDone = false;
    const results = mapShards(queue, 'square', shardsOf(300, { log, waitMs: 60 })).finally(() => {
      isDone = true;
    });
    while (kills < 20 && !isDone) {
      await sleep(100 + 500 * random());
      const index = Math.floor(random() * 2);
      await workers[index]!.kill();
      kills++;
      workers[index] = await new WorkerProcess({ queue: 'kills', port: redis.port }).ready();
    }
    expect(await results).toEqual(squares(300));
    expect(kills).toBe(20);
    // A job whose worker was killed runs again. So there are at most as many runs too many as kills.
    const runs = linesOf(log);
    expect(new Set(runs).size).toBe(300);
    expect(runs.length).toBeLessThanOrEqual(320);
  });

  it('goes on after the coordinator is killed', async () => {
    const [log, name] = [newLog(), 'coordinator'];
    await start(name);
    const shards = shardsOf(40, { log, waitMs: 30 });
    const program = `import { Queue } from 'bullmq';
      import { mapShards } from 'microlora-training-utils/bullmq';
      const queue = new Queue('${name}', { connection: ${JSON.stringify(redis.connection)} });
      await mapShards(queue, 'square', ${JSON.stringify(shards)});`;
    const coordinator = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'ignore' });
    while (linesOf(log).length < 10) await sleep(20);
    coordinator.kill('SIGKILL');
    await once(coordinator, 'exit');
    expect(await mapShards(queueOf(name), 'square', shards)).toEqual(squares(40));
    expect(linesOf(log)).toHaveLength(40);
  });

  it('goes on after Redis is killed', async () => {
    const [queue, log] = [queueOf('redis-killed'), newLog()];
    await Promise.all([start('redis-killed'), start('redis-killed')]);
    const results = mapShards(queue, 'square', shardsOf(40, { log, waitMs: 30 }));
    while (linesOf(log).length < 10) await sleep(20);
    await redis.kill();
    await sleep(300);
    await redis.restart();
    expect(await results).toEqual(squares(40));
    expect(new Set(linesOf(log)).size).toBe(40);
  });

  it('runs a job once that takes three times as long as its lock, also if it blocks its thread', async () => {
    const [queue, log] = [queueOf('long'), newLog()];
    await Promise.all([start('long'), start('long')]);
    expect(await mapShards(queue, 'square', [{ number: 3, busyMs: 3500, log }])).toEqual([9]);
    expect(linesOf(log)).toEqual([3]);
  });

  it('gives the job of a worker that stalls to another, and takes one result when the first wakes up', async () => {
    const [queue, log] = [queueOf('stalls'), newLog()];
    const first = await start('stalls');
    const result = mapShards(queue, 'square', [{ number: 4, waitMs: 800, log }]);
    while ((await queue.getActiveCount()) === 0) await sleep(20);
    first.child.kill('SIGSTOP');
    await start('stalls');
    expect(await result).toEqual([16]);
    expect(linesOf(log)).toEqual([4]);
    first.child.kill('SIGCONT');
    await sleep(1500);
    expect(
      await mapShards(queue, 'square', [
        { number: 4, waitMs: 800, log },
        { number: 5, log },
      ]),
    ).toEqual([16, 25]);
    expect(await queue.getJobCounts('completed', 'failed', 'active', 'waiting')).toEqual({
      completed: 2,
      failed: 0,
      active: 0,
      waiting: 0,
    });
  });

  it('is the work of one when two coordinators ask for the same', async () => {
    const log = newLog();
    await Promise.all([start('two'), start('two')]);
    const shards = shardsOf(50, { log });
    const both = await Promise.all([queueOf('two'), queueOf('two')].map(queue => mapShards(queue, 'square', shards)));
    expect(both).toEqual([squares(50), squares(50)]);
    expect(linesOf(log)).toHaveLength(50);
  });

  it('does 10,000 small jobs', async () => {
    const queue = queueOf('many');
    await Promise.all([start('many'), start('many')]);
    expect(await mapShards(queue, 'square', shardsOf(10_000, {}))).toEqual(squares(10_000));
  });

  it('stops at a signal, and takes back what has not started', async () => {
    const [queue, log] = [queueOf('abort'), newLog()];
    await start('abort');
    const controller = new AbortController();
    const options = { signal: controller.signal, onProgress: () => controller.abort(new Error('enough')) };
    await expect(mapShards(queue, 'square', shardsOf(20, { log, waitMs: 50 }), options)).rejects.toThrow('enough');
    await sleep(500);
    expect(linesOf(log).length).toBeLessThan(5);
    expect(await queue.getWaitingCount()).toBe(0);
  });

  it('says that Redis is full, and goes on when it has room', async () => {
    const [queue, client] = [queueOf('full'), redis.client()];
    await start('full');
    await client.config('SET', 'maxmemory', '1mb');
    await expect(mapShards(queue, 'square', shardsOf(500, {}))).rejects.toThrow('Redis is full: raise its maxmemory');
    await client.config('SET', 'maxmemory', '0');
    expect(await mapShards(queue, 'square', shardsOf(500, {}))).toEqual(squares(500));
    client.disconnect();
  });

  it('refuses a Redis that may delete jobs', async () => {
    const [queue, client] = [queueOf('evicting'), redis.client()];
    await client.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
    await expect(mapShards(queue, 'square', [{ number: 1 }])).rejects.toThrow('set it to noeviction');
    await client.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
    client.disconnect();
  });

  it('refuses unknown tasks, other kernels, other versions and foreign jobs, without another attempt', async () => {
    const queue = queueOf('refused');
    await start('refused');
    await expect(mapShards(queue, 'unknown', [1])).rejects.toThrow(/task "unknown" is not one of the tasks of worker/);
    await expect(mapShards(queue, 'scalar', [1])).rejects.toThrow(/has the scalar kernels, the coordinator simd/);
    const requires = { version: '0.0.1', backend: 'simd' };
    await queue.add('square', { payload: {}, blobs: {}, requires }, { jobId: 'old', attempts: 5 });
    await queue.add('square', { payload: {} }, { jobId: 'foreign', attempts: 5 });
    while ((await queue.getJobState('foreign')) !== 'failed') await sleep(20);
    expect((await queue.getJob('old'))!.failedReason).toMatch(/has version .*, the coordinator 0\.0\.1/);
    expect((await queue.getJob('old'))!.attemptsMade).toBe(1);
    expect((await queue.getJob('foreign'))!.failedReason).toContain('are not those of this package');
  });

  const cyclic: { self?: unknown } = {};
  cyclic.self = cyclic;

  it.each<[string, unknown[]]>([
    ['queue must be a Queue of bullmq, got an object', [{}, 'square', []]],
    ['name must be 1 to 100 letters', [null, 'a:b', []]],
    ['shards must be an array, got "x"', [null, 'square', 'x']],
    ['shards[1] has 70002 bytes in JSON, more than 65536; pass a path', [null, 'square', [1, 'x'.repeat(70_000)]]],
    ['shards[0] is undefined, which JSON does not keep', [null, 'square', [undefined]]],
    ['shards[0].rate is NaN, which JSON does not keep', [null, 'square', [{ rate: Number.NaN }]]],
    ['shards[1][0] is a Map, which JSON does not keep', [null, 'square', [1, [new Map()]]]],
    ['shards[0].list[1] is undefined, which', [null, 'square', [{ list: [1, undefined] }]]],
    ['shards[0].row is a Float32Array, which', [null, 'square', [{ row: new Float32Array(2) }]]],
    ['shards[0].at is a Date, which', [null, 'square', [{ at: new Date(0) }]]],
    ['shards[0].self contains itself, which', [null, 'square', [cyclic]]],
    ['shards[0] is 3n, which', [null, 'square', [3n]]],
    ['unknown option "attempt"; did you mean attempts?', [null, 'square', [], { attempt: 1 }]],
    ['attempts must be an integer of at least 1, got 0', [null, 'square', [], { attempts: 0 }]],
    ['signal must be an AbortSignal, got 3', [null, 'square', [], { signal: 3 }]],
    ['blobs.put must be a function', [null, 'square', [], { blobs: {} }]],
  ])('refuses %s', async (message, [queue, ...rest]) => {
    const call = mapShards as unknown as (...args: unknown[]) => Promise<unknown>;
    await expect(call(queue ?? queueOf('bad'), ...rest)).rejects.toThrow(`mapShards: ${message}`);
  });
});
