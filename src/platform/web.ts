import { sha256 as hashOf } from '@noble/hashes/sha2.js';

/** What is used of a browser's scope: Node's types do not declare it. */
declare const Worker: (new (url: string) => { postMessage(message: unknown): void; terminate(): void }) | undefined;
declare const MessageChannel: new () => { port1: Port; port2: Port };

interface Port {
  onmessage: (() => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** What the library needs of browsers, workers and other runtimes that are not Node: the exports of `node.ts`. */

export { EventEmitter } from 'events';

/** The 32 bytes of the SHA-256, as characters. A text is hashed as UTF-8. */
export function sha256(data: string | Uint8Array): string {
  return charactersOf(hashOf(typeof data === 'string' ? new TextEncoder().encode(data) : data));
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(charactersOf(bytes));
}

/** The bytes of base64; none where the text is not base64. */
export function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), character => character.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

/** One character per byte. */
function charactersOf(bytes: Uint8Array): string {
  let characters = '';
  // In parts, as a call may not have arguments without end.
  for (let i = 0; i < bytes.length; i += 8192) characters += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return characters;
}

/** Resolves after whatever waits in the event loop. A message, as timers of browsers wait at least 4 ms. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      // An open port may keep a process alive.
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

export function warn(message: string, name: string): void {
  console.warn(`${name}: ${message}`);
}

export function bytesOfFile(call: string, path: string | URL): AsyncIterable<Uint8Array> {
  throw noFiles(call, `pass a ReadableStream, a Blob, a File or a Response instead of ${String(path)}`);
}

export function toPath(call: string, path: string | URL): string {
  throw noFiles(call, `use packCheckpoint and unpackCheckpoint instead of ${String(path)}`);
}

export function readWhole(call: string, path: string): Uint8Array {
  throw noFiles(call, path);
}

export function writeWhole(call: string, path: string): void {
  throw noFiles(call, path);
}

function noFiles(call: string, advice: string): Error {
  return new Error(`${call}: there are no files in this runtime; ${advice}`);
}

/** Decompressed gzip. @throws {@link DamagedGzip}, and what the source throws, while reading. */
export async function* gunzip(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const source = packed[Symbol.asyncIterator]();
  let failure: { error: unknown } | undefined;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      try {
        const { done, value } = await source.next();
        if (done) controller.close();
        else controller.enqueue(value as Uint8Array<ArrayBuffer>);
      } catch (error) {
        failure = { error };
        controller.error(error);
      }
    },
    cancel: async () => void (await source.return?.()),
  });
  const reader = stream.pipeThrough(new DecompressionStream('gzip')).getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } catch (cause) {
    if (failure) throw failure.error;
    throw new DamagedGzip(cause instanceof Error ? cause.message : String(cause), { cause });
  } finally {
    await reader.cancel().catch(() => {});
  }
}

export class DamagedGzip extends Error {}

export function whyNoWorkers(): string | undefined {
  return typeof Worker === 'undefined' ? 'workers are missing here' : undefined;
}

/**
 * Starts a thread.
 *
 * @param source A script. It gets `data` as its first message.
 */
export function startWorker(source: string, data: object): { end(): void } {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const worker = new Worker!(url);
  URL.revokeObjectURL(url);
  worker.postMessage(data);
  return { end: () => worker.terminate() };
}

/** Which built-in class made an object. */
export const types = {
  isTypedArray: (value: unknown): value is Uint8Array => ArrayBuffer.isView(value) && !(value instanceof DataView),
  isMap: (value: unknown): value is Map<unknown, unknown> => value instanceof Map,
  isSet: (value: unknown): value is Set<unknown> => value instanceof Set,
  isDate: (value: unknown): value is Date => value instanceof Date,
  isArrayBuffer: (value: unknown): value is ArrayBuffer => value instanceof ArrayBuffer,
  isDataView: (value: unknown): value is DataView => value instanceof DataView,
  isWeakMap: (value: unknown): boolean => value instanceof WeakMap,
  isWeakSet: (value: unknown): boolean => value instanceof WeakSet,
  isPromise: (value: unknown): boolean => value instanceof Promise,
  isGeneratorObject: (value: unknown): boolean => /Generator\]$/.test(Object.prototype.toString.call(value)),
  isSharedArrayBuffer: (value: unknown): boolean =>
    typeof SharedArrayBuffer !== 'undefined' && value instanceof SharedArrayBuffer,
  isRegExp: (value: unknown): boolean => value instanceof RegExp,
  isBoxedPrimitive: (value: unknown): boolean =>
    [Number, String, Boolean, BigInt, Symbol].some(Primitive => value instanceof Primitive),
};
