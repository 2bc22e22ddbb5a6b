import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { AdamW, LossComputer, packWeights } from 'microlora-training-utils';
import { makeAdapters, makeBatches, through } from './distributed/training.mjs';

/** Steps by batch size. The first third warms up, as in a long training. */
const STEPS = { 256: 150, 1024: 90, 4096: 18 };

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
  const { Redis } = await import('ioredis');
  const client = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 50 });
  client.on('error', () => {});
  await client.ping();
  try {
    console.log('\ndistributed: median step of DataParallel beside one process (dim 384, two adapters of rank 8)');
    for (const batchSize of [256, 1024, 4096]) await compareSteps(batchSize, port, client);
    await mapShardsRate(port, client);
  } finally {
    client.disconnect();
    server.kill();
    await once(server, 'exit');
  }
}

async function compareSteps(batchSize, port, client) {
  const batchOf = makeBatches(batchSize);
  const steps = STEPS[batchSize];
  const alone = makeAdapters();
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
  for (let step = 0; step < steps; step++) oneStep(step);
  const expected = packWeights(alone);
  for (const count of [1, 2, 4]) {
    const { queue, workers } = await startWorkers(`steps-${batchSize}-${count}`, count, port, batchSize);
    const { DataParallel, redisBlobs } = await import('microlora-training-utils/bullmq');
    const adapters = makeAdapters();
    const training = new DataParallel({
      queue,
      blobs: redisBlobs(client),
      adapters,
      optimizer: new AdamW(adapters),
      batchSize,
    });
    const times = [];
    // Steps of one process run in turns with those of the workers, so that both have the same machine.
    const again = [];
    for (let step = 0; step < steps; step++) {
      times.push(await timed(() => training.step(step, 1e-3)));
      again.push(await timed(() => oneStep(step)));
    }
    const isEqual = Buffer.from(packWeights(adapters).buffer).equals(Buffer.from(expected.buffer));
    if (!isEqual) throw new Error(`distributed, batch ${batchSize}, ${count} workers: other weights than one process`);
    const [many, one] = [median(times), median(again)];
    const cells = [`${one.toFixed(1)} ms`, `${many.toFixed(1)} ms`, `×${(one / many).toFixed(2)}`];
    console.log(`batch ${batchSize}, ${count} workers`.padEnd(28) + cells.map(cell => cell.padStart(12)).join(''));
    await training.close();
    await stop(queue, workers);
  }
}

async function mapShardsRate(port, client) {
  const { mapShards } = await import('microlora-training-utils/bullmq');
  const { queue, workers } = await startWorkers('shards', 2, port, 256);
  const shards = Array.from({ length: 5000 }, (_, i) => i);
  const ms = await timed(() => mapShards(queue, 'nothing', shards));
  console.log(`mapShards: ${Math.round((1000 * shards.length) / ms)} empty shards per second with two workers`);
  await stop(queue, workers);
  await client.flushall();
}

async function startWorkers(name, count, port, batchSize) {
  const { Queue } = await import('bullmq');
  const program = new URL('distributed/worker.mjs', import.meta.url).pathname;
  const workers = Array.from({ length: count }, () =>
    spawn(process.execPath, [program, name, String(port)], {
      env: { ...process.env, BATCH: String(batchSize) },
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  await Promise.all(workers.map(worker => once(worker.stdout, 'data')));
  return { queue: new Queue(name, { connection: { host: '127.0.0.1', port } }), workers };
}

async function stop(queue, workers) {
  await queue.close();
  for (const worker of workers) {
    worker.kill('SIGKILL');
    await once(worker, 'exit');
  }
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(times) {
  const sorted = times.slice(Math.floor(times.length / 3)).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
