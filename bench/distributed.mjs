import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { AdamW, LossComputer, packWeights } from 'microlora-training-utils';
import { makeAdapters, makeBatches, through } from './distributed/training.mjs';

const DIM = 384;
/** Steps by batch size. The first third warms up, as in a long training. */
const STEPS = { 256: 150, 1024: 90, 4096: 18 };

/** Cores that workers share here. */
const CORES = 2;
const WEIGHT_KIB = dim => (4 * 2 * 2 * 8 * dim) / 1024;

/**
 * Milliseconds of a step by the model of docs/distributed.md. The four constants were fitted to this machine at dim 384
 * without delay. Each worker compares its part of the anchors with all answers, and prepares all answers.
 */
function modelOf({ batch, dim, workers, roundTrip }) {
  const groups = Math.ceil(batch / 256);
  const jobs = Math.min(workers, groups);
  const compute = (44e-9 * batch ** 2 * dim) / Math.min(jobs, CORES) + 6e-6 * batch * dim;
  const results = 0.008 * groups * WEIGHT_KIB(dim);
  return compute + results + 1.5 + jobs + 7 * roundTrip;
}

/** Steps of `DataParallel` beside those of one process, and the shards per second of `mapShards`. */
export async function runDistributed() {
  if (spawnSync('redis-server', ['--version']).status !== 0) {
    console.log('\ndistributed: skipped, because redis-server is missing');
    return;
  }
  const port = await freePort();
  const server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', ''], {
    stdio: 'ignore',
  });
  const client = await clientOf(port);
  await client.ping();
  try {
    console.log('\ndistributed: median step of DataParallel beside one process, two adapters of rank 8');
    console.log(
      'compute: the slowest part of the step; rest: the share of everything else; model: see docs/distributed.md',
    );
    const columns = ['one process', 'DataParallel', 'speed-up', 'compute', 'rest', 'model'];
    console.log(`${''.padEnd(60)}${columns.map(pad).join('')}`);
    for (const batch of [256, 1024, 4096]) for (const workers of [1, 2, 4]) await row({ port, batch, workers });
    await row({ port, batch: 1024, workers: 2, dim: 768 });
    await row({ port, batch: 4096, workers: 2, dim: 768 });
    for (const delay of [1, 5, 25]) {
      for (const [batch, workers] of [
        [256, 1],
        [4096, 2],
        [4096, 4],
      ])
        await row({ port, batch, workers, delay });
    }
    for (const delay of [0, 5]) await mapShardsRate(port, delay);
  } finally {
    client.disconnect();
    server.kill();
    await once(server, 'exit');
  }
}

async function row({ port, batch, workers: count, dim = DIM, delay = 0 }) {
  const proxy = delay > 0 ? await startProxy(port, delay) : undefined;
  const reached = proxy?.port ?? port;
  const client = await clientOf(reached);
  const roundTrip = delay > 0 ? await medianOf(20, () => client.ping()) : 0;
  const { one, many, compute } = await compareSteps({ port: reached, client, batch, count, dim });
  const predicted = modelOf({ batch, dim, workers: count, roundTrip });
  const name = [`batch ${batch}, dim ${dim}, workers: ${count}`, delay > 0 && `round trip ${roundTrip.toFixed(1)} ms`];
  const cells = [
    milliseconds(one),
    milliseconds(many),
    `×${(one / many).toFixed(2)}`,
    milliseconds(compute),
    `${Math.round(100 * (1 - compute / many))} %`,
    milliseconds(predicted),
  ];
  console.log(`${name.filter(Boolean).join(', ').padEnd(60)}${cells.map(pad).join('')}`);
  client.disconnect();
  proxy?.process.kill();
}

/** Median milliseconds of a step in one process and on workers, and of the slowest part that a worker computes. */
async function compareSteps({ port, client, batch, count, dim }) {
  const batchOf = makeBatches(batch, dim);
  const alone = makeAdapters(dim);
  const optimizer = new AdamW(alone);
  const oneStep = step => {
    const { anchors, positives } = batchOf(step);
    const { adapterGradients } = LossComputer.contrastive(anchors, positives, null, {
      adapters: alone,
      through,
      gradients: true,
    });
    optimizer.step(adapterGradients, 1e-3);
  };
  const { DataParallel, redisBlobs } = await import('microlora-training-utils/bullmq');
  const { queue, workers, parts } = await startWorkers({ count, port, batch, dim });
  const adapters = makeAdapters(dim);
  const blobs = redisBlobs(client);
  const training = new DataParallel({ queue, blobs, adapters, optimizer: new AdamW(adapters), batchSize: batch });
  const [one, many] = [[], []];
  // Steps of one process run in turns with those of the workers, so that both have the same machine.
  for (let step = 0; step < STEPS[batch]; step++) {
    many.push(await timed(() => training.step(step, 1e-3)));
    one.push(await timed(() => oneStep(step)));
    if (step === 0 || step === STEPS[batch] - 1) checkEqual(adapters, alone);
  }
  await training.close();
  await stop(queue, workers);
  const slowest = Array.from(many, (_, step) =>
    Math.max(...parts.filter(part => part.step === step).map(({ ms }) => ms)),
  );
  return { one: median(one), many: median(many), compute: median(slowest) };
}

function checkEqual(adapters, alone) {
  const [actual, expected] = [adapters, alone].map(each => Buffer.from(packWeights(each).buffer));
  if (!actual.equals(expected)) throw new Error('distributed: the weights are not those of one process');
}

async function mapShardsRate(port, delay) {
  const { mapShards } = await import('microlora-training-utils/bullmq');
  const proxy = delay > 0 ? await startProxy(port, delay) : undefined;
  const { queue, workers } = await startWorkers({ count: 2, port: proxy?.port ?? port, batch: 256, dim: DIM });
  const shards = Array.from({ length: delay > 0 ? 200 : 5000 }, (_, i) => i);
  const ms = await timed(() => mapShards(queue, 'nothing', shards));
  const way = delay > 0 ? `, ${delay} ms each way` : '';
  console.log(`mapShards: ${Math.round((1000 * shards.length) / ms)} empty shards per second, two workers${way}`);
  await stop(queue, workers);
  proxy?.process.kill();
}

let queues = 0;

async function startWorkers({ count, port, batch, dim }) {
  const { Queue } = await import('bullmq');
  const name = `bench-${queues++}`;
  const program = new URL('distributed/worker.mjs', import.meta.url).pathname;
  /** Milliseconds of the parts that workers computed, by step. */
  const parts = [];
  const workers = Array.from({ length: count }, () => {
    const worker = spawn(process.execPath, [program, name, String(port)], {
      env: { ...process.env, BATCH: String(batch), DIM: String(dim) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface(worker.stdout).on('line', line => {
      const [step, ms] = line.split(' ').map(Number);
      if (ms > 0) parts.push({ step, ms });
    });
    return worker;
  });
  await Promise.all(workers.map(worker => once(worker.stdout, 'data')));
  const queue = new Queue(name, { connection: { host: '127.0.0.1', port } });
  return { queue, workers, parts };
}

async function stop(queue, workers) {
  await queue.close();
  for (const worker of workers) {
    worker.kill('SIGKILL');
    await once(worker, 'exit');
  }
}

/** A way to the server on which bytes take some milliseconds. */
async function startProxy(port, delay) {
  const program = new URL('distributed/delay.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, String(port), String(delay)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  return { process: child, port: Number(line) };
}

async function clientOf(port) {
  const { Redis } = await import('ioredis');
  const client = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 50 });
  client.on('error', () => {});
  return client;
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function medianOf(count, work) {
  const times = [];
  for (let i = 0; i < count; i++) times.push(await timed(work));
  return median(times);
}

/** The median after the warm-up. */
function median(times) {
  const sorted = times.slice(Math.floor(times.length / 3)).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

function milliseconds(ms) {
  return `${ms.toFixed(1)} ms`;
}

function pad(text) {
  return text.padStart(13);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
