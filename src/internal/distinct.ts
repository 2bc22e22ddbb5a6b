import { bufferOf } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, Rows, Vector } from '../types.js';
import { describeAdapter } from './adapters.js';
import { describe } from './validate.js';

interface Named<T> {
  label: string;
  value: T;
}

interface Span {
  start: number;
  end: number;
  label: string;
}

/**
 * Checks that no number of the adapters occurs twice, because it would be changed twice. Two names may not stand for one
 * adapter, a matrix or row may not occur in two places, and rows may not be views of the same memory.
 */
export function checkDistinct(call: string, adapters: ReadonlyMap<string, Adapter>): void {
  checkDistinctAdapters(call, adapters);
  const places = new Map<object, string>();
  const spans = new Map<ArrayBufferLike, Span[]>();
  for (const { label, value } of matricesOf(adapters)) {
    const whole = bufferOf(value);
    if (whole) addSpan(spans, label, whole);
    else
      value.forEach((row, i) => {
        addRow(call, places, spans, `${label}[${i}]`, row);
      });
  }
  for (const ofBuffer of spans.values()) checkSpans(call, ofBuffer);
}

/** The same check for whole adapters and matrices only. It takes no time. */
export function checkDistinctAdapters(call: string, adapters: ReadonlyMap<string, Adapter>): void {
  const whole = Array.from(adapters, ([name, value]) => ({ label: describeAdapter(name), value }));
  checkUnlike(call, whole, 'are one adapter');
  checkUnlike(call, matricesOf(adapters), 'are one matrix');
}

/** Checks that no matrix of gradients occurs twice, because something is added to each. */
export function checkDistinctGradients(call: string, gradients: ReadonlyMap<string, AdapterGradients>): void {
  const matrices = Array.from(gradients).flatMap(([name, { gradA, gradB }]) => [
    { label: `grads.get(${describe(name)}).gradA`, value: gradA },
    { label: `grads.get(${describe(name)}).gradB`, value: gradB },
  ]);
  checkUnlike(call, matrices, 'are one matrix');
}

function matricesOf(adapters: ReadonlyMap<string, Adapter>): Named<Rows>[] {
  return Array.from(adapters).flatMap(([name, { loraA, loraB }]) => [
    { label: `${describeAdapter(name)}.loraA`, value: loraA },
    { label: `${describeAdapter(name)}.loraB`, value: loraB },
  ]);
}

function checkUnlike(call: string, objects: readonly Named<object>[], what: string): void {
  const places = new Map<object, string>();
  for (const { label, value } of objects) {
    const before = places.get(value);
    if (before !== undefined) throwShared(call, before, label, what);
    places.set(value, label);
  }
}

function addRow(
  call: string,
  places: Map<object, string>,
  spans: Map<ArrayBufferLike, Span[]>,
  label: string,
  row: Vector,
): void {
  if (ArrayBuffer.isView(row)) {
    addSpan(spans, label, row);
    return;
  }
  const before = places.get(row);
  if (before !== undefined) throwShared(call, before, label, 'are one array');
  places.set(row, label);
}

function addSpan(spans: Map<ArrayBufferLike, Span[]>, label: string, view: ArrayBufferView): void {
  const { buffer, byteOffset, byteLength } = view;
  const ofBuffer = spans.get(buffer) ?? [];
  spans.set(buffer, ofBuffer);
  ofBuffer.push({ start: byteOffset, end: byteOffset + byteLength, label });
}

function checkSpans(call: string, spans: readonly Span[]): void {
  const sorted = [...spans].sort((a, b) => a.start - b.start);
  for (let i = 1; i < sorted.length; i++) {
    const [before, span] = [sorted[i - 1]!, sorted[i]!];
    if (span.start < before.end) throwShared(call, before.label, span.label, 'are views of the same numbers');
  }
}

function throwShared(call: string, a: string, b: string, what: string): never {
  throw new RangeError(`${call}: ${a} and ${b} ${what}, which would be changed twice`);
}
