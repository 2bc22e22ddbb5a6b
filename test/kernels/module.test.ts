import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';

/** What is used of WebAssembly: neither ES2022 nor Node's types declare it. */
const { Module } = Reflect.get(globalThis, 'WebAssembly') as { Module: new (bytes: Uint8Array) => object };
const BYTES = readFileSync(new URL('../../src/kernels/simd/kernels.wasm', import.meta.url));
const compiled = new Module(BYTES);

/** The library as a program finds it at its start. */
function library(): Promise<typeof import('../../src/index.js')> {
  vi.resetModules();
  return import('../../src/index.js');
}

/** Compiling fails, as under a Content-Security-Policy without 'wasm-unsafe-eval'. */
function refuseCompiling(): void {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: object };
  class Refused {
    static customSections = (Module as unknown as { customSections: unknown }).customSections;
    static [Symbol.hasInstance](value: unknown): boolean {
      return value instanceof Module;
    }
    constructor() {
      throw new Error('code may not be made here');
    }
  }
  vi.stubGlobal('WebAssembly', Object.assign(Object.create(WebAssembly), { Module: Refused }));
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('where WebAssembly may not be compiled', () => {
  it('plain JavaScript computes, with one warning', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    refuseCompiling();
    const { kernelBackend, LossComputer } = await library();
    expect(LossComputer.mse([[1, 2]], [[1, 4]]).loss).toBe(2);
    expect(kernelBackend()).toBe('scalar');
    expect(kernelBackend()).toBe('scalar');
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]).toEqual([
      expect.stringMatching(/code may not be made here.*useKernelModule/),
      'SlowKernelsWarning',
    ]);
  });

  it('a module that was compiled elsewhere computes, on one thread', async () => {
    const rows = Array.from({ length: 600 }, (_, i) =>
      Float32Array.from({ length: 64 }, (_, j) => Math.sin(i * 64 + j)),
    );
    const first = await library();
    const expected = first.LossComputer.contrastive(rows, rows).loss;
    expect(first.kernelBackend()).toBe('simd');
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    refuseCompiling();
    const { kernelBackend, LossComputer, useKernelModule, useKernelThreads } = await library();
    useKernelModule(compiled);
    expect(kernelBackend()).toBe('simd');
    useKernelThreads(2);
    expect(LossComputer.contrastive(rows, rows).loss).toBe(expected);
    expect(warn).not.toHaveBeenCalled();
  });
});

describe('useKernelModule', () => {
  it.each<[string, unknown]>([
    ['useKernelModule: module must be an object, got 3', 3],
    ['useKernelModule: module must be a WebAssembly.Module, got an object', {}],
    ['useKernelModule: module must be a WebAssembly.Module, got a Uint8Array', Uint8Array.from(BYTES)],
  ])('%s', async (message, module) => {
    const { kernelBackend, useKernelModule } = await library();
    expect(() => useKernelModule(module as object)).toThrow(message);
    expect(kernelBackend()).toBe('simd');
  });

  it('refuses a module of another version, and computes as before', async () => {
    const { kernelBackend, LossComputer, useKernelModule } = await library();
    const other = Uint8Array.from(BYTES);
    // The last character of the section that tells the version.
    other[other.length - 1]! ^= 1;
    for (const bytes of [other, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)]) {
      expect(() => useKernelModule(new Module(bytes))).toThrow(
        'useKernelModule: module is not the kernels.wasm of this version of microlora-training-utils',
      );
    }
    expect(kernelBackend()).toBe('simd');
    expect(LossComputer.mse([[1, 2]], [[1, 4]]).loss).toBe(2);
  });
});
