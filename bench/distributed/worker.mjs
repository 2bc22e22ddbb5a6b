import { Redis } from 'ioredis';
import { redisBlobs, trainingWorker } from 'microlora-training-utils/bullmq';

const [queue, port] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(port) };
await trainingWorker({
  queue,
  connection,
  blobs: redisBlobs(new Redis(connection)),
  tasks: {
    gradients: new URL('gradients.mjs', import.meta.url),
    nothing: new URL('nothing.mjs', import.meta.url),
  },
});
console.log('ready');
