import type { Rows } from '../../types.js';
import { bufferOf } from '../matrix.js';
import { BINARY } from './binary.js';

/** The functions of the module; see src/kernels/assembly for what they do. All arguments are numbers or pointers. */
type KernelFunctions = Record<
  | 'adamw'
  | 'addScaled'
  | 'dotRows'
  | 'dotWideRows'
  | 'gemm'
  | 'gradientBlock'
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
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object, imports: object) => { exports: unknown };
      Memory: new (options: { initial: number }) => { buffer: ArrayBuffer; grow(pages: number): number };
    }
  | undefined;

const PAGE = 65_536;
/** Row strides and regions start on a cache line. */
const LINE = 64;
/** Where the host's regions start: the module's own static data, if any, lies below. */
const BASE = 1024;

/** WebAssembly got no memory, or no more: under an address-space limit, say, as each of its memories reserves 8 GiB. */
export class OutOfKernelMemory extends Error {}

/**
 * The kernels' memory as a stack of regions that one call lays out: `begin`, then `take` for each region, then
 * `commit`, which grows the memory where needed. It keeps the size of the largest call and is laid out anew by the
 * next.
 */
export class KernelMemory {
  readonly call: KernelFunctions;
  /** Views of the whole memory; made anew by `commit` when it grows. */
  f32!: Float32Array<ArrayBuffer>;
  f64!: Float64Array<ArrayBuffer>;
  i32!: Int32Array<ArrayBuffer>;

  readonly #memory: { buffer: ArrayBuffer; grow(pages: number): number };
  #top = BASE;

  constructor(module: object) {
    if (typeof WebAssembly === 'undefined') throw new Error('WebAssembly is missing');
    try {
      this.#memory = new WebAssembly.Memory({ initial: 1 });
    } catch {
      throw new OutOfKernelMemory();
    }
    const imports = { env: { memory: this.#memory } };
    this.call = new WebAssembly.Instance(module, imports).exports as KernelFunctions;
    this.#view();
  }

  /** Bytes the memory has now. */
  get bytes(): number {
    return this.#memory.buffer.byteLength;
  }

  begin(): void {
    this.#top = BASE;
  }

  /** Reserves a region; its content is whatever was there. */
  take(bytes: number): number {
    const pointer = this.#top;
    this.#top = pointer + Math.ceil(bytes / LINE) * LINE;
    return pointer;
  }

  /** Reserves what one call of a kernel works in, for {@link forEach}. */
  takeScratch(bytes: number): number {
    return this.take(bytes);
  }

  /** Calls a kernel with `pointer`, i and its scratch region for i from 0 to `count - 1`. */
  forEach(name: 'loraAnchors' | 'loraCandidates', count: number, pointer: number, scratch: number): void {
    for (let i = 0; i < count; i++) this.call[name](pointer, i, scratch);
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
    const { buffer } = this.#memory;
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.i32 = new Int32Array(buffer);
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

/** Compiles the module, or returns undefined where WebAssembly or its SIMD is missing. */
export function compileKernels(): object | undefined {
  if (typeof WebAssembly === 'undefined') return undefined;
  try {
    return new WebAssembly.Module(Buffer.from(BINARY, 'base64'));
  } catch {
    return undefined;
  }
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
