import type { Pace } from '../internal/pace.js';
import { checkArray, checkNumber, checkObject, describe, wrongType } from '../internal/validate.js';
import type { TrainingExample } from '../types.js';
import type { ExampleSource } from './options.js';

export function checkSource(call: string, examples: unknown): void {
  const isIterable =
    typeof examples === 'object' &&
    examples !== null &&
    (Symbol.iterator in examples || Symbol.asyncIterator in examples);
  if (typeof examples === 'string') {
    const got = describe(examples);
    throw new TypeError(
      `${call}: examples must be an array or an (async) iterable, got ${got}; read a file with readJsonl`,
    );
  }
  if (!isIterable) throw wrongType(call, 'examples', 'an array or an (async) iterable', examples);
}

/** Number of examples. Undefined if the source must be read to know it. */
export function lengthOf(examples: ExampleSource): number | undefined {
  if (Array.isArray(examples)) return examples.length;
  return examples instanceof Set ? examples.size : undefined;
}

/** The quality of an example. Without one it is 1. */
export function qualityOf(example: TrainingExample): number {
  return example.quality ?? 1;
}

/** All texts of an example that are embedded. */
export function textsOf({ input, output, negatives }: TrainingExample): readonly string[] {
  return negatives ? [input, output, ...negatives] : [input, output];
}

/**
 * Groups a source into arrays of `size` examples. An array is checked whole before its first chunk, and each chunk again,
 * as it may change meanwhile. The examples of other sources are checked as they come. When the loop over the chunks ends, a
 * source that has not ended by itself is closed.
 */
export async function* chunksOf(
  call: string,
  examples: ExampleSource,
  size: number,
  pace: Pace,
): AsyncGenerator<TrainingExample[], void, undefined> {
  if (!Array.isArray(examples)) return yield* chunksOfIterable(call, examples, size, pace);
  // By index, as `forEach` would pass over the holes of a sparse array.
  for (let i = 0; i < examples.length; i++) {
    checkExample(call, examples[i], i);
    if (i % 1024 === 1023 && pace.isDue()) await pace.pause();
  }
  for (let start = 0; start < examples.length; start += size) {
    const chunk = examples.slice(start, start + size);
    for (let i = 0; i < chunk.length; i++) checkExample(call, chunk[i], start + i);
    yield chunk;
  }
}

/** `for await` would wait at every example of a sync source, and on an abort for a `next()` that may never come. */
async function* chunksOfIterable(
  call: string,
  examples: ExampleSource,
  size: number,
  pace: Pace,
): AsyncGenerator<TrainingExample[], void, undefined> {
  const isAsync = Symbol.asyncIterator in examples;
  const iterator = isAsync ? examples[Symbol.asyncIterator]() : examples[Symbol.iterator]();
  // Whether it is ours to close: one that throws or ends has closed itself.
  let isOpen = true;
  let chunk: TrainingExample[] = [];
  try {
    for (let i = 0; ; i++) {
      isOpen = false;
      const next = iterator.next();
      const { done, value } = isAsync ? await pace.untilAborted(next) : (next as IteratorResult<TrainingExample>);
      if (done) break;
      isOpen = true;
      checkExample(call, value, i);
      if (chunk.push(value) === size) {
        yield chunk;
        chunk = [];
      }
      if (pace.isDue()) await pace.pause();
    }
    if (chunk.length > 0) yield chunk;
  } catch (error) {
    // The first error counts, as in `for await`.
    if (isOpen || pace.isAborted) await close(iterator, pace).catch(() => {});
    isOpen = false;
    throw error;
  } finally {
    if (isOpen) await close(iterator, pace);
  }
}

/** Tells a source that no more is read. After an abort it is not waited for: `return()` may queue behind a `next()`. */
async function close(iterator: Iterator<unknown> | AsyncIterator<unknown>, pace: Pace): Promise<void> {
  const closing = Promise.resolve(iterator.return?.());
  if (pace.isAborted) closing.catch(() => {});
  else await closing;
}

/** Checks one example. @param index Its number in the source. Undefined for a single example. */
export function checkExample(call: string, example: unknown, index?: number): void {
  const name = index === undefined ? 'example' : `examples[${index}]`;
  // What a stream of a file gives.
  if (typeof example === 'string' || ArrayBuffer.isView(example)) {
    const got = describe(example);
    throw new TypeError(`${call}: ${name} must be an object, got ${got}; read the records of a file with readJsonl`);
  }
  checkObject(call, name, example);
  for (const field of ['input', 'output']) {
    if (typeof example[field] !== 'string') throw wrongType(call, `${name}.${field}`, 'a string', example[field]);
  }
  if (example['quality'] !== undefined && example['quality'] !== null) {
    checkNumber(call, `${name}.quality`, example['quality']);
  }
  const { negatives } = example;
  if (negatives === undefined || negatives === null) return;
  checkArray(call, `${name}.negatives`, negatives);
  for (const [i, text] of negatives.entries()) {
    if (typeof text !== 'string') throw wrongType(call, `${name}.negatives[${i}]`, 'a string', text);
  }
}
