import type {
  DataPreprocessor,
  ExampleSource,
  ProcessedExample,
  ProcessOptions,
  TrainingExample,
} from '../../src/index.js';

/** An embedder. */
export const lengths = (texts: readonly string[]): number[][] => texts.map(text => [text.length, 1]);
export const pairs = (count: number): TrainingExample[] =>
  Array.from({ length: count }, (_, i) => ({ input: `in ${i}`, output: `out ${i}` }));

/** `process` or `stream`, run to the end. */
type Call = (preprocessor: DataPreprocessor, source: ExampleSource, options?: ProcessOptions) => Promise<unknown>;
export const calls: [name: string, call: Call][] = [
  ['process', (preprocessor, source, options) => preprocessor.process(source, options)],
  ['stream', (preprocessor, source, options) => all(preprocessor.stream(source, options))],
];

/** Endless examples of either protocol, which count reads and calls of `return()`. */
export class Endless {
  read = 0;
  returned = 0;

  readonly #step = (): IteratorResult<TrainingExample> => {
    const i = this.read++;
    return { done: false, value: { input: `in ${i}`, output: `out ${i}` } };
  };
  readonly #end = (): IteratorResult<TrainingExample> => {
    this.returned++;
    return { done: true, value: undefined };
  };

  readonly sync: Iterable<TrainingExample> = {
    [Symbol.iterator]: () => ({ next: this.#step, return: this.#end }),
  };
  readonly async: AsyncIterable<TrainingExample> = {
    [Symbol.asyncIterator]: () => ({ next: async () => this.#step(), return: async () => this.#end() }),
  };
}

/** The rows of a stream. */
export async function all(rows: AsyncIterable<ProcessedExample>): Promise<ProcessedExample[]> {
  const result: ProcessedExample[] = [];
  for await (const row of rows) result.push(row);
  return result;
}

export async function* asyncFrom<T>(values: readonly T[]): AsyncGenerator<T> {
  for (const value of values) {
    await null;
    yield value;
  }
}
