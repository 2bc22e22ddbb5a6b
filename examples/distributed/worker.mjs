// A worker: `node worker.mjs redis://host:port`. Start one on each machine, with the same data and version.

import { Redis } from 'ioredis';
import { redisBlobs, trainingWorker } from 'microlora-training-utils/bullmq';
import { QUEUE } from './lib/cluster.mjs';

const client = new Redis(process.argv[2], { maxRetriesPerRequest: null });
const worker = await trainingWorker({
  queue: QUEUE,
  connection: client,
  blobs: redisBlobs(client),
  tasks: {
    embed: new URL('tasks/embed.mjs', import.meta.url),
    fisher: new URL('tasks/fisher.mjs', import.meta.url),
    gradients: new URL('tasks/gradients.mjs', import.meta.url),
    local: new URL('tasks/local.mjs', import.meta.url),
    sweep: new URL('tasks/sweep.mjs', import.meta.url),
  },
});
process.once('SIGTERM', async () => {
  await worker.close(true);
  client.disconnect();
});
