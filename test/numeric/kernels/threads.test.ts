import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  kernelBackend,
  kernelThreads,
  LoRAAdapter,
  LossComputer,
  mineHardNegatives,
  Retriever,
  releaseKernelMemory,
  useKernelThreads,
} from '../../../src/index.js';
import { kernels } from '../../../src/kernels/index.js';
import { type HelperData, SLOTS, startHelper } from '../../../src/kernels/simd/helper.js';
import { compileKernels, KernelMemory, LostHelper } from '../../../src/kernels/simd/memory.js';
import { KernelThreads } from '../../../src/kernels/simd/threads.js';
import type { Rows } from '../../../src/types.js';
import { mulberry32 } from '../../support/golden.js';

const onSimd = kernelBackend() === 'simd';
const random = mulberry32(13);
const rowsOf = (count: number, width: number): Float32Array[] =>
  Array.from({ length: count }, () => Float32Array.from({ length: width }, () => 2 * random() - 1));

function allCosines(anchors: Rows, candidates: Rows): number[][] {
  const all: number[][] = [];
  kernels().cosineRows(anchors, candidates, (i, cosines) => {
    expect(i).toBe(all.length);
    all.push(Array.from(cosines));
  });
  return all;
}

/** All numbers of a result as bits. */
function digest(result: unknown): string {
  const hash = createHash('sha256');
  const add = (value: unknown): void => {
    if (ArrayBuffer.isView(value)) hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    else if (value instanceof Map) value.forEach(add);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(add);
    else hash.update(String(value));
  };
  add(result);
  return hash.digest('hex');
}

/** Waits until helpers have started and events have arrived. */
const pause = (ms = 50): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

afterEach(() => {
  useKernelThreads(1);
  releaseKernelMemory();
});

describe('useKernelThreads', () => {
  it('accepts whole numbers from 1 to 256', () => {
    expect(kernelThreads()).toBe(1);
    useKernelThreads(3);
    expect(kernelThreads()).toBe(3);
    for (const [count, got] of [
      [0, '0'],
      [-1, '-1'],
      [1.5, '1.5'],
      [257, '257'],
      [Number.NaN, 'NaN'],
      [Infinity, 'Infinity'],
    ] as const) {
      expect(() => useKernelThreads(count)).toThrow(RangeError);
      expect(() => useKernelThreads(count)).toThrow(new RegExp(`^useKernelThreads: count must be .*, got ${got}$`));
    }
    expect(() => useKernelThreads('2' as unknown as number)).toThrow(TypeError);
    expect(() => useKernelThreads(undefined as unknown as number)).toThrow(TypeError);
    expect(kernelThreads()).toBe(3);
  });

  it('says what is missing where memory cannot be shared', () => {
    vi.stubGlobal('SharedArrayBuffer', undefined);
    try {
      expect(() => useKernelThreads(2)).toThrow(/^useKernelThreads: SharedArrayBuffer is missing here; a page gets it/);
      expect(kernelThreads()).toBe(1);
      expect(() => useKernelThreads(1)).not.toThrow();
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it('changes no bit of any result', async () => {
    const adapters = new Map(['query', 'answer'].map((name, seed) => [name, new LoRAAdapter({ dim: 96, seed })]));
    const through = { anchors: 'query', positives: 'answer' };
    const negatives = rowsOf(100, 96);
    const sizes = onSimd ? [3, 64, 257, 500] : [3, 64];
    const work: (() => unknown)[] = sizes.flatMap(n => {
      const [anchors, positives] = [rowsOf(n, 96), rowsOf(n, 96)];
      const gradients = true;
      return [
        () => LossComputer.contrastive(anchors, positives).loss,
        () => LossComputer.contrastive(anchors, positives, null, { gradients, symmetric: true }),
        () => LossComputer.contrastive(anchors, positives, negatives, { gradients }),
        () => LossComputer.contrastive(anchors, positives, null, { gradients, adapters, through }),
        () => kernels().hardestNegatives(anchors, positives),
        () => kernels().product(anchors, positives, true),
        () => allCosines(anchors, positives),
      ];
    });
    const [queries, candidates] = [rowsOf(onSimd ? 150 : 20, 96), rowsOf(3000, 96)];
    const retriever = new Retriever(candidates);
    const relevant = queries.map((_, i) => [i, 2 * i + 1]);
    work.push(
      () => retriever.search(queries, 10),
      () => retriever.search(queries.slice(0, 17), 5),
      () => retriever.search(queries, 10, { precision: 'int16' }),
      () => retriever.evaluate(queries, relevant),
      () => retriever.evaluate(queries, relevant, { precision: 'int16' }),
      () => mineHardNegatives(queries, retriever, relevant, { count: 3, relativeMargin: 0.1 }),
    );
    const all = (): string[] => work.map(run => digest(run()));
    const expected = all();
    for (const threads of [2, 3, 4, 1]) {
      useKernelThreads(threads);
      expect(all()).toEqual(expected);
      await pause();
      for (let turn = 0; turn < 2; turn++) expect(all()).toEqual(expected);
    }
  });

  it('starts again after a release, as memory grows', async () => {
    const batches = [300, 700, 300].map(n => [rowsOf(n, 64), rowsOf(n, 64)] as const);
    const losses = (): number[] => batches.map(([a, b]) => LossComputer.contrastive(a, b).loss);
    const expected = losses();
    expect(kernelThreads()).toBe(1);
    useKernelThreads(2);
    for (let turn = 0; turn < 4; turn++) {
      expect(losses()).toEqual(expected);
      if (turn % 2 === 0) await pause();
      if (turn === 1) releaseKernelMemory();
    }
    expect(kernelThreads()).toBe(2);
  });
});

describe.runIf(onSimd)('helper threads', () => {
  const module = compileKernels(true)!;
  const kernelNumber = (name: string): number => Object.keys(new KernelMemory(compileKernels()!).call).indexOf(name);
  /** A product of 512 rows with the same operands each time. */
  const multiply = (memory: KernelMemory, behind = 0): Float32Array => {
    memory.begin();
    memory.take(behind);
    const [a, b, c] = [0, 1, 2].map(() => memory.take(4 * 512 * 128));
    memory.commit();
    for (let i = 0; i < 512 * 128; i++) {
      memory.f32[a! / 4 + i] = (i % 13) - 6;
      memory.f32[b! / 4 + i] = (i % 7) - 3;
    }
    memory.gemm(512, 128, 128, a!, 512, 4, b!, 512, 64, c!, 512, 0);
    return memory.f32.slice(c! / 4, c! / 4 + 512 * 128);
  };
  const expected = digest(multiply(new KernelMemory(compileKernels()!)));
  /** Takes a millisecond and returns 1. */
  const nap = (): number => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    return 1;
  };
  const memoryOf = (): object => {
    const { Memory } = Reflect.get(globalThis, 'WebAssembly') as {
      Memory: new (options: object) => { buffer: SharedArrayBuffer };
    };
    return new Memory({ initial: 1, maximum: 65_536, shared: true });
  };

  it('take a share of the work', async () => {
    // heapBase is a kernel without effect. The test counts who takes the indices.
    const threads = new KernelThreads(module, memoryOf(), 2);
    await pause(200);
    let [mine, all] = [0, 0];
    const task = { kernel: kernelNumber('heapBase'), count: 200, pointer: 0, scratch: 0, stride: 0 };
    while (mine === all && all < 20 * 200) {
      expect(threads.run(task, () => void (mine += nap()))).toBe(true);
      all += 200;
    }
    threads.end();
    expect(mine).toBeLessThan(all);
  });

  it('are not needed where they cannot start or have ended', async () => {
    const memory = memoryOf();
    for (const start of [
      () => ({ end: () => {} }),
      (data: HelperData) => startHelper({ ...data, module: {} }),
      (data: HelperData) => {
        const helper = startHelper(data);
        helper.end();
        return helper;
      },
    ]) {
      const threads = new KernelThreads(module, memory, 2, start);
      await pause(100);
      const seen: number[] = [];
      const task = { kernel: kernelNumber('heapBase'), count: 5, pointer: 0, scratch: 0, stride: 0 };
      expect(threads.run(task, i => void seen.push(i))).toBe(true);
      expect(seen).toEqual([0, 1, 2, 3, 4]);
      threads.end();
    }
  });

  it('that take an index and never finish are given up', () => {
    const stuck = (control: Int32Array): void => {
      // This imitates a helper that dies while it works on an index.
      Atomics.add(control, SLOTS.active, 1);
      Atomics.add(control, SLOTS.next, 1);
    };
    let control: Int32Array | undefined;
    const threads = new KernelThreads(module, memoryOf(), 1, data => {
      control = data.control;
      return { end: () => {} };
    });
    const task = { kernel: kernelNumber('heapBase'), count: 3, pointer: 0, scratch: 0, stride: 0 };
    const start = performance.now();
    expect(
      threads.run(
        task,
        () => {},
        () => stuck(control!),
      ),
    ).toBe(false);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  it('whose kernel throws are given up at once', async () => {
    const threads = new KernelThreads(module, memoryOf(), 1);
    await pause(200);
    // The address is far outside of the memory of one page.
    const task = { kernel: kernelNumber('gemmPart'), count: 500, pointer: 2 ** 30, scratch: 0, stride: 0 };
    let isDone = true;
    for (let turn = 0; turn < 20 && isDone; turn++) {
      isDone = threads.run(task, nap);
    }
    threads.end();
    expect(isDone).toBe(false);
  });

  it('that were lost make a call start again, and do not affect later calls', () => {
    const [anchors, positives] = [rowsOf(400, 128), rowsOf(400, 128)];
    const retriever = new Retriever(positives);
    const kinds = [
      () => digest(LossComputer.contrastive(anchors, positives, null, { gradients: true })),
      () => digest(allCosines(anchors, positives)),
      () => digest(retriever.search(anchors, 7)),
      () => digest(retriever.search(anchors, 7, { precision: 'int16' })),
    ];
    const alone = kinds.map(run => run());
    vi.spyOn(KernelThreads.prototype, 'run').mockImplementation((_task, own, meanwhile) => {
      // Some of the work is done, and then a helper does not finish.
      meanwhile?.();
      own(0);
      return false;
    });
    try {
      expect(() => multiply(new KernelMemory(module, 2))).toThrow(LostHelper);
      for (let first = 0; first < kinds.length; first++) {
        useKernelThreads(2);
        releaseKernelMemory();
        vi.mocked(KernelThreads.prototype.run).mockClear();
        // The first call is the one that loses the helper.
        for (let turn = 0; turn < kinds.length; turn++) {
          const kind = (first + turn) % kinds.length;
          expect(kinds[kind]!()).toBe(alone[kind]);
        }
        expect(KernelThreads.prototype.run).toHaveBeenCalledTimes(1);
      }
    } finally {
      vi.restoreAllMocks();
    }
  });

  it('see memory that has grown since they started', async () => {
    const memory = new KernelMemory(module, 2);
    for (let turn = 0; turn < 6; turn++) {
      // These operands lie behind the earlier end of the memory.
      expect(digest(multiply(memory, turn * 2 ** 21))).toBe(expected);
      await pause(20);
    }
    memory.release();
  });
});

describe.runIf(onSimd)('a process with helper threads', () => {
  const library = JSON.stringify(new URL('../../../dist/index.js', import.meta.url).href);
  const train = `
    import { LossComputer, useKernelThreads } from ${library};
    useKernelThreads(3);
    const rows = () => Array.from({ length: 20 * TURNS }, (_, i) => Float32Array.from({ length: 100 }, (_, k) => Math.sin(i * k + i)));
    const TURNS = process.execArgv.includes('--jitless') ? 1 : 20;
    const losses = [];
    for (let i = 0; i < TURNS; i++) losses.push(LossComputer.contrastive(rows(), rows()).loss);
    if (new Set(losses).size !== 1) throw new Error('losses differ: ' + losses);
    process.stdout.write('trained');`;
  const run = (program: string, ...options: string[]): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(process.execPath, [...options, '--input-type=module', '--eval', program], {
      timeout: 20_000,
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    });

  it('exits by itself', async () => {
    expect(await run(train)).toEqual({ stdout: 'trained', stderr: '' });
    expect(await run(`${train} await new Promise(resolve => setTimeout(resolve, 100));`)).toMatchObject({
      stdout: 'trained',
    });
  });

  it('exits with its code at process.exit, and after an error', async () => {
    await expect(run(`${train} process.exit(7);`)).rejects.toMatchObject({ code: 7, stdout: 'trained' });
    await expect(run(`${train} throw new Error('on purpose');`)).rejects.toMatchObject({ code: 1, stdout: 'trained' });
  });

  it('computes alone without WebAssembly, and where threads are not allowed', async () => {
    expect(await run(train, '--jitless')).toMatchObject({ stdout: 'trained' });
    const permission = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    expect(await run(train, permission, '--allow-fs-read=*')).toMatchObject({ stdout: 'trained' });
  });

  it('does not pass the options of the program on to helpers', async () => {
    const preloaded = 'data:text/javascript,process.stdout.write("loaded ")';
    expect((await run(train, '--import', preloaded)).stdout).toBe('loaded trained');
  });
});
