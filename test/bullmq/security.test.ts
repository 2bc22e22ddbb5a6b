import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mapShards, redisBlobs, trainingWorker } from '../../src/bullmq.js';
import { freePort, hasRedis } from '../support/redis.js';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

describe.skipIf(!hasRedis || !hasOpenssl)('a Redis with TLS and users of limited rights', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  let server: ChildProcess;
  let port: number;

  beforeAll(async () => {
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key];
    execFileSync('openssl', ['req', '-x509', ...newKey, '-out', cert, '-days', '1', ...subject], { stdio: 'ignore' });
    port = await freePort();
    const options = {
      port: 0,
      'tls-port': port,
      'tls-cert-file': cert,
      'tls-key-file': key,
      'tls-ca-cert-file': cert,
      'tls-auth-clients': 'no',
      bind: '127.0.0.1',
      save: '',
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    server = spawn('redis-server', args, { stdio: 'ignore' });
  });
  afterAll(async () => {
    server.kill('SIGKILL');
    await once(server, 'exit');
    rmSync(folder, { recursive: true });
  });

  it('serves workers, and keeps them from all other keys and commands', async () => {
    const encrypted = { host: '127.0.0.1', port, tls: { ca: readFileSync(cert) } };
    const admin = new Redis({ ...encrypted, maxRetriesPerRequest: null, retryStrategy: () => 50 });
    admin.on('error', () => {});
    const rules =
      '~bull:embed:* ~blobs:* resetchannels +@all -@admin -@dangerous -scan -randomkey -function -script +script|load +info +client|setname +client|list';
    for (const user of ['coordinator', 'worker'])
      await admin.acl('SETUSER', user, 'reset', 'on', `>secret of ${user}`, ...rules.split(' '));
    const as = (username: string): typeof encrypted & { username: string; password: string } => {
      return { ...encrypted, username, password: `secret of ${username}` };
    };

    const queue = new Queue('embed', { connection: as('coordinator') });
    const clients = ['coordinator', 'worker'].map(user => new Redis(as(user)));
    const worker = await trainingWorker({
      queue: 'embed',
      connection: as('worker'),
      blobs: redisBlobs(clients[1]!),
      tasks: { square: new URL('tasks/square.mjs', import.meta.url) },
    });
    const blobs = redisBlobs(clients[0]!);
    const shards = [{ number: 3 }, { number: 4, asBytes: true }];
    const [value, bytes] = await mapShards<unknown>(queue, 'square', shards, { blobs });
    expect(value).toBe(9);
    expect([...(await blobs.get((bytes as { blob: string }).blob))!]).toEqual([4, 16]);
    expect(await queue.getWorkersCount()).toBe(1);
    await expect(clients[1]!.get('other')).rejects.toThrow('NOPERM');
    for (const command of [['flushall'], ['randomkey'], ['scan', '0'], ['script', 'flush']] as const)
      await expect(clients[1]!.call(...(command as [string]))).rejects.toThrow('NOPERM');

    await worker.close();
    await queue.close();
    for (const client of [admin, ...clients]) client.disconnect();
  });
});
