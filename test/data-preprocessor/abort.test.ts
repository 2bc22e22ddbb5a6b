import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { DataPreprocessor, type TrainingExample } from '../../src/index.js';
import { asyncFrom, calls, Endless, lengths, pairs } from '../support/sources.js';

describe.each(calls)('%s, aborted', (_, call) => {
  it.each(['sync', 'async'] as const)('in the middle of its work ends within a few turns, %s source', async kind => {
    for (const embedder of ['hash', 'ngram', lengths] as const) {
      const source = new Endless();
      const preprocessor = new DataPreprocessor({ embedder, cacheBytes: 2 ** 20 });
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 20);
      await expect(call(preprocessor, source[kind], { signal: controller.signal })).rejects.toMatchObject({
        name: 'AbortError',
      });
      expect(source.returned).toBe(1);
      // Finished work is counted. The rest of a chunk may have been read for nothing.
      expect(preprocessor.stats.processed).toBeLessThanOrEqual(source.read);
      expect(preprocessor.stats.processed).toBeGreaterThan(source.read - 2 * 128);
      expect(await preprocessor.process(pairs(3))).toHaveLength(3);
    }
  });

  it('gives other work its turn while it works on an array', async () => {
    const preprocessor = new DataPreprocessor();
    const timer = vi.fn();
    const interval = setInterval(timer, 1);
    await call(preprocessor, pairs(20_000));
    clearInterval(interval);
    expect(timer).toHaveBeenCalled();
  });

  it('while an embedder is pending ends at once, and ignores the later result of the embedder', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const late = withResolvers<number[][]>();
    const embedder = vi.fn(() => late.promise);
    const preprocessor = new DataPreprocessor({ embedder });
    const controller = new AbortController();
    const source = new Endless();
    const result = call(preprocessor, source.async, { signal: controller.signal });
    result.catch(() => {});
    await vi.waitUntil(() => embedder.mock.calls.length > 0);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
    expect(source.returned).toBe(1);
    late.reject(new Error('too late'));
    await sleep(5);
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(preprocessor.getStats()).toMatchObject({ processed: 0, vocabSize: 0, cacheSize: 0 });
    embedder.mockImplementation((async (texts: string[]) => lengths(texts)) as () => Promise<number[][]>);
    expect(await preprocessor.process(pairs(300))).toHaveLength(300);
  });

  it('while the source is pending ends at once, although the source can be closed only after it answers', async () => {
    const answer = withResolvers<void>();
    let isClosed = false;
    async function* source(): AsyncGenerator<TrainingExample> {
      try {
        yield* pairs(2);
        await answer.promise;
        yield* pairs(2);
      } finally {
        isClosed = true;
      }
    }
    const controller = new AbortController();
    const result = call(new DataPreprocessor(), source(), { signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    await expect(result).rejects.toMatchObject({ name: 'AbortError' });
    expect(isClosed).toBe(false);
    answer.resolve();
    await sleep(5);
    expect(isClosed).toBe(true);
  });

  it('while an override is pending ends at once', async () => {
    const never = new Promise<never>(() => {});
    class Slow extends DataPreprocessor {
      override _processExample(): Promise<never> {
        return never;
      }
    }
    class SlowToVary extends DataPreprocessor {
      override _augmentExample(): Promise<never> {
        return never;
      }
    }
    for (const preprocessor of [
      new Slow(),
      new SlowToVary({ augmentation: true }),
      new SlowToVary({ augmentation: true, embedder: lengths }),
    ]) {
      const result = call(preprocessor, pairs(1), { signal: AbortSignal.timeout(5) });
      await expect(result).rejects.toMatchObject({ name: 'TimeoutError' });
    }
  });

  it('before it starts reads nothing, and closes nothing', async () => {
    const source = new Endless();
    const result = call(new DataPreprocessor(), source.sync, { signal: AbortSignal.abort() });
    await expect(result).rejects.toMatchObject({ name: 'AbortError' });
    expect(source).toMatchObject({ read: 0, returned: 0 });
    // It does not even look at a bad example.
    const bad = call(new DataPreprocessor(), [3 as unknown as TrainingExample], { signal: AbortSignal.abort('no') });
    await expect(bad).rejects.toBe('no');
  });

  it('by its own embedder or progress callback ends there', async () => {
    for (const by of ['embedder', 'progress']) {
      const controller = new AbortController();
      const embedder = vi.fn((texts: string[]) => {
        if (by === 'embedder') controller.abort();
        return lengths(texts);
      });
      const onProgress = (): void => {
        if (by === 'progress') controller.abort();
      };
      const preprocessor = new DataPreprocessor({ embedder });
      const options = { signal: controller.signal, onProgress };
      await expect(call(preprocessor, pairs(10), options)).rejects.toMatchObject({ name: 'AbortError' });
      expect(embedder).toHaveBeenCalledOnce();
      expect(preprocessor.stats.processed).toBe(by === 'embedder' ? 0 : 10);
    }
  });

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController();
    const [added, removed] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')];
    await call(new DataPreprocessor({ embedder: async texts => lengths(texts) }), asyncFrom(pairs(5)), { signal });
    expect(added.mock.calls.length).toBeGreaterThan(5);
    expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
  });
});

it('between two rows of a stream yields no further row', async () => {
  const controller = new AbortController();
  const source = new Endless();
  const rows = new DataPreprocessor().stream(source.sync, { signal: controller.signal });
  await rows.next();
  controller.abort();
  await expect(rows.next()).rejects.toMatchObject({ name: 'AbortError' });
  expect(source.returned).toBe(1);
  expect(await rows.next()).toEqual({ done: true, value: undefined });
});

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (reason: Error) => void } {
  let settle: { resolve: (value: T) => void; reject: (reason: Error) => void };
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle! };
}
