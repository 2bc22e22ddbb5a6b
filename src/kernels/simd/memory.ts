import { fromBase64 } from '#platform/base64';
import type { Rows } from '../../types.js';
import { bufferOf } from '../matrix.js';
import { BINARY, BUILD, MEMORY_FLAGS } from './binary.js';
import { KernelThreads } from './threads.js';

/** The functions of the module. src/kernels/assembly describes them. All arguments are numbers or pointers. */
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

/** The used part of `WebAssembly`. Neither ES2022 nor Node's types declare it. */
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
/** Largest number of pages of a memory. The module declares it, because a shared memory requires a maximum. */
const MOST_PAGES = 65_536;
/** Row strides and regions start on a cache line. */
const LINE = 64;
/** Waking helpers pays for a task of at least this many multiply-adds, about 0.07 ms of work. */
const WORTH_WAKING = 2 ** 21;
/** Parts of a product per thread. Several parts keep threads from waiting long for each other. */
const PARTS = 4;
/** The rows or columns of a product in one part are a multiple of this. */
const UNIT = 16;
/** Words of the parameter block of `gemmPart`. */
const PRODUCT_WORDS = 14;
/** Flags of an imported memory in a module's binary. */
const SHARED_WITH_MAXIMUM = 3;

/**
 * WebAssembly could not get or grow a memory. This happens under an address-space limit, because each memory reserves
 * 8 GiB.
 */
export class OutOfKernelMemory extends Error {}

/** A helper thread was lost at work. The call has to start again in a separate memory. */
export class LostHelper extends Error {}

/**
 * The kernels' memory as a stack of regions. Each call lays it out again: `begin`, then `take` for each region, then
 * `commit`, which grows the memory where needed. The memory keeps the size of the largest call.
 */
export class KernelMemory {
  readonly call: KernelFunctions;
  /** Number of threads, including the caller's. */
  readonly threads: number;
  /** Views of the whole memory. `commit` replaces them when the memory grows. */
  f32!: Float32Array<ArrayBuffer>;
  f64!: Float64Array<ArrayBuffer>;
  i32!: Int32Array<ArrayBuffer>;

  readonly #module: object;
  readonly #memory: WasmMemory;
  readonly #base: number;
  /** Helper threads. The first task that is large enough starts them. */
  #helpers: KernelThreads | undefined;
  #top = 0;
  #product = 0;
  #scratchStride = 0;

  /**
   * @param module Must be compiled for shared memory if there are several threads.
   * @param threads Number of threads, including the caller's.
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

  /** Current size of the memory in bytes. */
  get bytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** Ends the helper threads. The next garbage collection can then free the memory. */
  release(): void {
    this.#helpers?.end();
    this.#helpers = undefined;
  }

  begin(): void {
    this.#top = this.#base;
    this.#product = this.take(4 * PRODUCT_WORDS);
    this.#scratchStride = 0;
  }

  /** Reserves a region. Its content is undefined. */
  take(bytes: number): number {
    const pointer = this.#top;
    this.#top = pointer + roundUp(bytes, LINE);
    return pointer;
  }

  /** Reserves the scratch memory that {@link forEach} gives to each thread. At most once per call. */
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
    // For a shared memory this is a SharedArrayBuffer, and views work as well on it.
    const buffer = this.#memory.buffer as ArrayBuffer;
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.i32 = new Int32Array(buffer);
  }

  /**
   * Calls the kernel as `(pointer, i, scratch)` for each i below `count`, in any order and on all threads. Each thread
   * has its own scratch memory. If each i writes to its own places, results do not depend on the number of threads.
   *
   * @param scratch The result of {@link takeScratch}, or 0 for none.
   * @param work Multiply-adds of all calls. Helpers are not woken for small work.
   * @param meanwhile Runs on this thread before it takes part.
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

  /** Rows or columns per part of a product, so that every thread gets some. One thread takes all in one part. */
  partOf(length: number): number {
    return roundUp(this.threads > 1 ? length / (PARTS * this.threads) : length, UNIT);
  }

  /** The kernel `gemm` on all threads. A part has whole rows or columns, so results do not depend on the parts. */
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

  /** Writes rows `stride` floats apart. Pads each row with zeros to the stride, and adds zero rows up to `height`. */
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
 * @param isShared Whether threads share the memory.
 * @throws WebAssembly's error where SIMD is missing, or code may not be made at run time.
 */
export function compileKernels(isShared = false): object | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  const bytes = fromBase64(BINARY);
  if (isShared) bytes[MEMORY_FLAGS] = SHARED_WITH_MAXIMUM;
  return new WebAssembly.Module(bytes);
}

/**
 * Floats that a row takes: a multiple of 16, but not a multiple of 1024 bytes, because such rows compete for few cache
 * lines.
 */
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
