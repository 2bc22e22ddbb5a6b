import { fromBase64 } from '#platform';
import type { Rows } from '../../types.js';
import { bufferOf } from '../matrix.js';
import { BINARY, BUILD, MEMORY_FLAGS } from './binary.js';
import { KernelThreads } from './threads.js';

/** The functions of the module; see src/kernels/assembly for what they do. All arguments are numbers or pointers. */
type KernelFunctions = Record<
  | 'adamw'
  | 'addScaled'
  | 'cosines16Part'
  | 'dotRows'
  | 'dotWideRows'
  | 'gemm'
  | 'gemmPart'
  | 'gradientBlock'
  | 'heapBase'
  | 'logitSums'
  | 'loraAnchors'
  | 'loraCandidates'
  | 'loraScratchBytes'
  | 'loraSum'
  | 'nearHighest'
  | 'outputErrors'
  | 'ownCosines'
  | 'ownGradients'
  | 'normalizeRows'
  | 'packPanels'
  | 'pairCosines'
  | 'pairGradients'
  | 'pairProducts'
  | 'penaltyGradient'
  | 'projectRows'
  | 'pullTowards'
  | 'quadraticPenalty'
  | 'selectAbove'
  | 'softmaxBlock'
  | 'softmaxGradient'
  | 'squareAll'
  | 'squaredDistances'
  | 'sumOfSquares',
  (...args: number[]) => number
>;

/** What is used of `WebAssembly`: neither ES2022 nor Node's types declare it. */
declare const WebAssembly:
  | {
      Module: {
        new (bytes: Uint8Array): object;
        customSections(module: object, name: string): ArrayBuffer[];
      };
      Instance: new (module: object, imports: object) => { exports: unknown };
      Memory: new (options: { initial: number; maximum: number; shared: boolean }) => WasmMemory;
    }
  | undefined;

interface WasmMemory {
  buffer: ArrayBufferLike;
  grow(pages: number): number;
}

const PAGE = 65_536;
/** Most pages of a memory: the module declares a maximum, as it has to where the memory is shared. */
const MOST_PAGES = 65_536;
/** Row strides and regions start on a cache line. */
const LINE = 64;
/** Multiply-adds of a task from which on waking helpers pays: some 0.07 ms of work. */
const WORTH_WAKING = 2 ** 21;
/** Parts of a product per thread, so that none waits long for another. */
const PARTS = 4;
/** The rows or columns of a product in one part are a multiple of this. */
const UNIT = 16;
/** Words of the parameter block of `gemmPart`. */
const PRODUCT_WORDS = 14;
/** Flags of an imported memory in a module's binary. */
const SHARED_WITH_MAXIMUM = 3;

/** WebAssembly got no memory, or no more: under an address-space limit, say, as each of its memories reserves 8 GiB. */
export class OutOfKernelMemory extends Error {}

/** A helper thread was lost in the midst of its work: the call has to start again in a memory of its own. */
export class LostHelper extends Error {}

/**
 * The kernels' memory as a stack of regions that one call lays out: `begin`, then `take` for each region, then
 * `commit`, which grows the memory where needed. It keeps the size of the largest call and is laid out anew by the
 * next.
 */
export class KernelMemory {
  readonly call: KernelFunctions;
  /** Threads that work, the caller's included. */
  readonly threads: number;
  /** Views of the whole memory; made anew by `commit` when it grows. */
  f32!: Float32Array<ArrayBuffer>;
  f64!: Float64Array<ArrayBuffer>;
  i32!: Int32Array<ArrayBuffer>;

  readonly #module: object;
  readonly #memory: WasmMemory;
  readonly #base: number;
  /** Started by the first task that is worth it. */
  #helpers: KernelThreads | undefined;
  #top = 0;
  #product = 0;
  #scratchStride = 0;

  /**
   * @param module Compiled for shared memory where there are several threads.
   * @param threads The caller's included.
   */
  constructor(module: object, threads = 1) {
    if (typeof WebAssembly === 'undefined') throw new Error('WebAssembly is missing');
    this.#module = module;
    this.threads = threads;
    try {
      this.#memory = new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES, shared: threads > 1 });
    } catch {
      throw new OutOfKernelMemory();
    }
    const imports = { env: { memory: this.#memory } };
    this.call = new WebAssembly.Instance(module, imports).exports as KernelFunctions;
    this.#base = roundUp(this.call.heapBase(), LINE);
    this.#view();
    this.begin();
  }

  /** Bytes the memory has now. */
  get bytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** Ends the helper threads; without them the memory goes at the next garbage collection. */
  release(): void {
    this.#helpers?.end();
    this.#helpers = undefined;
  }

  begin(): void {
    this.#top = this.#base;
    this.#product = this.take(4 * PRODUCT_WORDS);
    this.#scratchStride = 0;
  }

  /** Reserves a region; its content is whatever was there. */
  take(bytes: number): number {
    const pointer = this.#top;
    this.#top = pointer + roundUp(bytes, LINE);
    return pointer;
  }

  /** Reserves what each thread of {@link forEach} gets to work in; at most once a call. */
  takeScratch(bytes: number): number {
    this.#scratchStride = roundUp(bytes, LINE);
    return this.take(this.threads * this.#scratchStride);
  }

  commit(): void {
    const missing = this.#top - this.#memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      this.#memory.grow(Math.ceil(missing / PAGE));
    } catch {
      throw new OutOfKernelMemory();
    }
    this.#view();
  }

  #view(): void {
    // Of a shared memory this is a SharedArrayBuffer, and the views are as good.
    const buffer = this.#memory.buffer as ArrayBuffer;
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.i32 = new Int32Array(buffer);
  }

  /**
   * Calls the kernel as `(pointer, i, scratch)` for each i below `count`, in any order and on all threads. Each thread
   * has scratch of its own; where each i writes to places of its own, results do not depend on the number of threads.
   *
   * @param scratch From {@link takeScratch}; 0 for none.
   * @param work Multiply-adds of all calls: helpers are not woken for little.
   * @param meanwhile What this thread does before it takes part.
   */
  forEach(
    name: keyof KernelFunctions,
    count: number,
    pointer: number,
    scratch: number,
    work = Infinity,
    meanwhile?: () => void,
  ): void {
    const kernel = this.call[name];
    const own = (i: number): void => void kernel(pointer, i, scratch);
    if (this.threads === 1 || count === 1 || work < WORTH_WAKING) {
      meanwhile?.();
      for (let i = 0; i < count; i++) own(i);
      return;
    }
    this.#helpers ??= new KernelThreads(this.#module, this.#memory, this.threads - 1);
    const task = { kernel: Object.keys(this.call).indexOf(name), count, pointer, scratch, stride: this.#scratchStride };
    if (!this.#helpers.run(task, own, meanwhile)) throw new LostHelper();
  }

  /** Rows or columns of a product in one part, such that all threads have some: all of them on one thread. */
  partOf(length: number): number {
    return roundUp(this.threads > 1 ? length / (PARTS * this.threads) : length, UNIT);
  }

  /** The kernel `gemm`, on all threads. A part is some rows or columns, so that each entry is computed as ever. */
  gemm(
    rows: number,
    columns: number,
    inner: number,
    a: number,
    aRow: number,
    aStep: number,
    b: number,
    bStep: number,
    bPanel: number,
    c: number,
    cRow: number,
    accumulate: number,
    meanwhile?: () => void,
  ): void {
    const work = rows * columns * inner;
    if (this.threads === 1 || work < WORTH_WAKING) {
      meanwhile?.();
      this.call.gemm(rows, columns, inner, a, aRow, aStep, b, bStep, bPanel, c, cRow, accumulate);
      return;
    }
    const length = Math.max(rows, columns);
    const step = this.partOf(length);
    const words = [rows, columns, inner, a, aRow, aStep, b, bStep, bPanel, c, cRow, accumulate];
    this.i32.set([...words, step, rows > columns ? 1 : 0], this.#product / 4);
    this.forEach('gemmPart', Math.ceil(length / step), this.#product, 0, work, meanwhile);
  }

  /** Writes rows `stride` floats apart, with zeros up to it, and zero rows up to `height`. */
  writeRows(rows: Rows, pointer: number, stride: number, height = rows.length): void {
    const { f32 } = this;
    const start = pointer / 4;
    const width = rows[0]?.length ?? 0;
    const whole = width === stride ? (bufferOf(rows) ?? contiguous(rows)) : undefined;
    if (whole) {
      f32.set(whole, start);
    } else {
      for (let i = 0, at = start; i < rows.length; i++, at += stride) {
        f32.set(rows[i]! as ArrayLike<number>, at);
        if (width < stride) f32.fill(0, at + width, at + stride);
      }
    }
    if (height > rows.length) f32.fill(0, start + rows.length * stride, start + height * stride);
  }

  /** Copies rows out into `target`, whose rows are views of one buffer. */
  readRows(pointer: number, stride: number, target: Float32Array, first: number, count: number, width: number): void {
    const start = pointer / 4;
    if (width === stride) {
      target.set(this.f32.subarray(start, start + count * width), first * width);
      return;
    }
    for (let i = 0; i < count; i++) {
      const at = start + i * stride;
      target.set(this.f32.subarray(at, at + width), (first + i) * width);
    }
  }
}

/** Whether an object is a compiled module, and one of this version of the library. */
export function checkModule(module: object): 'no module' | 'another version' | 'right' {
  if (typeof WebAssembly === 'undefined' || !(module instanceof WebAssembly.Module)) return 'no module';
  const [build] = WebAssembly.Module.customSections(module, 'build');
  return build && new TextDecoder().decode(build) === BUILD ? 'right' : 'another version';
}

/**
 * Compiles the module. Undefined where WebAssembly is missing.
 *
 * @param isShared Whether for a memory that threads share.
 * @throws WebAssembly's error where SIMD is missing, or code may not be made at run time.
 */
export function compileKernels(isShared = false): object | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  const bytes = fromBase64(BINARY);
  if (isShared) bytes[MEMORY_FLAGS] = SHARED_WITH_MAXIMUM;
  return new WebAssembly.Module(bytes);
}

/** Floats a row takes: a multiple of 16, and none of 1024 bytes, as rows that far apart compete for few cache lines. */
export function strideOf(width: number): number {
  const padded = roundUp(width, 16);
  return padded % 256 === 0 ? padded + 16 : padded;
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** The rows as one array where they are consecutive float32 views of one buffer. */
function contiguous(rows: Rows): Float32Array | undefined {
  const first = rows[0]!;
  if (!(first instanceof Float32Array) || rows.length === 1) return first instanceof Float32Array ? first : undefined;
  const { buffer, byteLength } = first;
  for (let i = 1, offset = first.byteOffset + byteLength; i < rows.length; i++, offset += byteLength) {
    const row = rows[i]!;
    if (!(row instanceof Float32Array) || row.buffer !== buffer || row.byteOffset !== offset) return undefined;
  }
  return new Float32Array(buffer, first.byteOffset, rows.length * first.length);
}
