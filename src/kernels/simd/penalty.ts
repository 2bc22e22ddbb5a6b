import type { MutableVector, Rows } from '../../types.js';
import { bufferOf, type Flat, flatten } from '../matrix.js';
import * as scalar from '../scalar/parameters.js';
import type { KernelMemory } from './memory.js';

/**
 * The diagonal penalty for parameters in one float32 buffer, such as a LoRAAdapter's. Copying them takes a fifth of the
 * time of the loop in JavaScript. Other matrices, and small ones, go to the scalar kernel.
 */

/** Copying pays for at least this many entries. */
const LEAST = 256;

/** The buffers of one matrix, its anchor and its importance. */
interface Whole {
  values: Float32Array;
  anchor: Float32Array;
  importance: Flat;
}

export function quadraticPenalty(memory: KernelMemory, values: Rows, anchor: Rows, importance: Rows): number {
  const whole = wholeOf(values, anchor, importance);
  if (!whole) return scalar.quadraticPenalty(values, anchor, importance);
  const at = load(memory, whole);
  return memory.call.quadraticPenalty(whole.values.length, at.values, at.anchor, at.importance, at.isWide);
}

export function addPenaltyGradient(
  memory: KernelMemory,
  target: readonly MutableVector[],
  values: Rows,
  anchor: Rows,
  importance: Rows,
  scale: number,
): void {
  const whole = wholeOf(values, anchor, importance);
  const sum = float32Of(target);
  if (!whole || !sum) {
    scalar.addPenaltyGradient(target, values, anchor, importance, scale);
    return;
  }
  const at = load(memory, whole, sum);
  memory.call.penaltyGradient(sum.length, at.target, at.values, at.anchor, at.importance, at.isWide, scale);
  store(memory, at.target, sum);
}

export function pullTowards(
  memory: KernelMemory,
  values: readonly MutableVector[],
  anchor: Rows,
  importance: Rows,
  rate: number,
): void {
  const whole = wholeOf(values, anchor, importance);
  if (!whole) {
    scalar.pullTowards(values, anchor, importance, rate);
    return;
  }
  const at = load(memory, whole);
  memory.call.pullTowards(whole.values.length, at.values, at.anchor, at.importance, at.isWide, rate);
  store(memory, at.values, whole.values);
}

export function sumOfSquares(memory: KernelMemory, rows: Rows): number {
  const whole = float32Of(rows);
  if (!whole) return scalar.sumOfSquares(rows);
  memory.begin();
  const pointer = memory.take(4 * whole.length);
  memory.commit();
  copyIn(memory.f32, pointer / 4, whole);
  return memory.call.sumOfSquares(whole.length, pointer);
}

function wholeOf(values: Rows, anchor: Rows, importance: Rows): Whole | undefined {
  const [ofValues, ofAnchor, ofImportance] = [float32Of(values), float32Of(anchor), flatOf(importance)];
  return ofValues && ofAnchor && ofImportance && { values: ofValues, anchor: ofAnchor, importance: ofImportance };
}

function float32Of(rows: Rows): Float32Array | undefined {
  const flat = flatOf(rows);
  return flat instanceof Float32Array && flat.length >= LEAST ? flat : undefined;
}

function flatOf(rows: Rows): Flat | undefined {
  return bufferOf(rows) ?? (rows.length === 1 ? flatten(rows) : undefined);
}

/** Copies the buffers in. Returns their pointers, and whether importances are float64. */
function load(
  memory: KernelMemory,
  { values, anchor, importance }: Whole,
  target?: Float32Array,
): Record<'values' | 'anchor' | 'importance' | 'target' | 'isWide', number> {
  const { length } = values;
  const isWide = importance instanceof Float64Array;
  memory.begin();
  const at = {
    values: memory.take(4 * length),
    anchor: memory.take(4 * length),
    importance: memory.take((isWide ? 8 : 4) * length),
    target: target ? memory.take(4 * length) : 0,
    isWide: Number(isWide),
  };
  memory.commit();
  copyIn(memory.f32, at.values / 4, values);
  copyIn(memory.f32, at.anchor / 4, anchor);
  if (isWide) copyIn(memory.f64, at.importance / 8, importance);
  else copyIn(memory.f32, at.importance / 4, importance);
  if (target) copyIn(memory.f32, at.target / 4, target);
  return at;
}

/** Copies entries in, padded with zeros to a multiple of 4. */
function copyIn<Whole extends Flat>(into: Whole, first: number, buffer: Whole): void {
  into.set(buffer, first);
  for (let k = buffer.length; k % 4 !== 0; k++) into[first + k] = 0;
}

function store(memory: KernelMemory, pointer: number, buffer: Float32Array): void {
  buffer.set(memory.f32.subarray(pointer / 4, pointer / 4 + buffer.length));
}
