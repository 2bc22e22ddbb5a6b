// A worker of the tests, in a process of its own: `node worker.mjs <settings as JSON>`.
import { Redis } from 'ioredis';
import { redisBlobs, trainingWorker } from 'microlora-training-utils/bullmq';

const { queue, port, lockDuration = 1000, threads = 1 } = JSON.parse(process.argv[2]);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null, retryStrategy: () => 50 };
const client = new Redis(connection);
client.on('error', () => {});
const tasks = Object.fromEntries(
  ['square', 'gradients', 'local', 'scalar'].map(name => [name, new URL(`tasks/${name}.mjs`, import.meta.url)]),
);
const worker = await trainingWorker({
  queue,
  connection,
  blobs: redisBlobs(client),
  tasks,
  threads,
  lockDuration,
  onError: () => {},
});
console.log('ready');
process.on('SIGTERM', async () => {
  await worker.close();
  client.disconnect();
});
