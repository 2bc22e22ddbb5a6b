import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { redisBlobs } from 'microlora-training-utils/bullmq';

export const QUEUE = 'distributed-example';

const HELP = `
  --workers <n>   worker processes on this machine (default: one per core)
  --redis <url>   a Redis that runs, redis://host:port (default: a new one on this machine)
  --help          print this text`;

/**
 * Runs a program on workers: it starts them, and Redis if none is given, and ends both afterwards, also at Ctrl-C.
 *
 * @param name Name and purpose of the program, for its help.
 * @param flags Further flags, as `parseArgs` of `node:util` takes them.
 * @param main Gets `{ queue, blobs, signal, flags }`.
 */
export async function withWorkers(name, flags, main) {
  const { values } = parseArgs({
    options: { ...flags, workers: { type: 'string' }, redis: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help) return console.log(`${name}\n${HELP}`);

  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort(new Error('stopped')));
  const ends = [];
  try {
    const count = countOf({ workers: availableParallelism(), ...values }, 'workers');
    const url = values.redis ?? (await startRedis(ends));
    const client = new Redis(url, { maxRetriesPerRequest: null });
    ends.push(() => client.disconnect());
    const queue = new Queue(QUEUE, { connection: client });
    ends.push(() => queue.close());
    await startWorkers(count, url, ends);
    await main({ queue, blobs: redisBlobs(client), signal: controller.signal, flags: values });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** The value of a flag that counts something. */
export function countOf(flags, name) {
  const count = Number(flags[name]);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new Error(`--${name} must be a whole number from 1, not "${flags[name]}"`);
}

/** Starts Redis on a free port, and adds to `ends` what ends it. */
async function startRedis(ends) {
  const folder = mkdtempSync(join(tmpdir(), 'distributed-example-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--appendonly', 'yes'];
  // A process group of its own, so that Ctrl-C reaches it after the workers.
  const server = spawn('redis-server', options, { stdio: 'ignore', detached: true });
  const failed = once(server, 'error').then(([error]) => {
    const advice = 'install redis-server (on Debian: apt-get install redis-server), or pass --redis';
    throw error.code === 'ENOENT' ? new Error(`there is no Redis here: ${advice}`) : error;
  });
  await Promise.race([once(server, 'spawn'), failed]);
  failed.catch(() => {});
  ends.push(() => end(server));
  return `redis://127.0.0.1:${port}`;
}

async function startWorkers(count, url, ends) {
  const program = fileURLToPath(new URL('../worker.mjs', import.meta.url));
  for (let i = 0; i < count; i++) {
    const worker = spawn(process.execPath, [program, url], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    ends.push(() => end(worker));
  }
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
