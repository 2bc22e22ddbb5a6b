import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** Whether this machine has a Redis server. */
export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;
if (!hasRedis) console.warn('redis-server is missing, so the tests of many machines are skipped');

/** A Redis server of its own on a free port of this machine. It writes every command to disk before it answers. */
export class RedisServer {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-'));
  #process: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.restart();
    return server;
  }

  get connection(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port };
  }

  async restart(): Promise<void> {
    const options = {
      port: this.port,
      bind: '127.0.0.1',
      dir: this.#folder,
      save: '',
      appendonly: 'yes',
      appendfsync: 'always',
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#process = spawn('redis-server', args, { stdio: 'ignore' });
    const client = this.client();
    client.on('error', () => {});
    await client.ping();
    client.disconnect();
  }

  client(): Redis {
    return new Redis({ ...this.connection, maxRetriesPerRequest: null, retryStrategy: () => 50 });
  }

  /** Ends the server at once, as a loss of power would. */
  async kill(): Promise<void> {
    const running = this.#process;
    if (!running) return;
    this.#process = undefined;
    running.kill('SIGKILL');
    await once(running, 'exit');
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A worker in a process of its own. */
export class WorkerProcess {
  readonly child: ChildProcess;
  #isReady = false;
  output = '';

  constructor(settings: object) {
    const program = new URL('../bullmq/worker.mjs', import.meta.url);
    this.child = spawn(process.execPath, [program.pathname, JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const read = (data: Buffer): void => {
      this.output += data;
      if (this.output.includes('ready')) this.#isReady = true;
    };
    this.child.stdout!.on('data', read);
    this.child.stderr!.on('data', read);
  }

  async ready(): Promise<this> {
    while (!this.#isReady) {
      if (this.child.exitCode !== null) throw new Error(`the worker ended: ${this.output}`);
      await sleep(20);
    }
    return this;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    await once(this.child, 'exit');
  }
}
