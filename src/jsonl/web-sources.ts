/** What is used of a web `ReadableStream`. */
export interface WebStream {
  getReader(): {
    read(): Promise<{ done: boolean; value?: Uint8Array | string | undefined }>;
    cancel(): Promise<void>;
    releaseLock(): void;
  };
}

/** A `ReadableStream`, or what has one: a `Blob`, a `File`, a `Response`. */
export type WebSource = WebStream | { stream(): WebStream } | { readonly body: WebStream | null };

/**
 * The stream of a web source. Undefined for another value.
 *
 * @throws RangeError for the response of a request that failed.
 */
export function webStreamOf(call: string, source: object): WebStream | undefined {
  if ('getReader' in source && typeof source.getReader === 'function') return source as WebStream;
  if ('stream' in source && typeof source.stream === 'function') return source.stream() as WebStream;
  if (!('body' in source && 'status' in source)) return undefined;
  if ('ok' in source && source.ok === false)
    throw new RangeError(`${call}: source is a response of status ${String(source.status)}`);
  return (source.body ?? EMPTY) as WebStream;
}

/** Browsers differ in whether streams can be iterated. */
export async function* chunksOf(stream: WebStream): AsyncGenerator<Uint8Array | string, void, undefined> {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value!;
  } finally {
    await reader.cancel();
    reader.releaseLock();
  }
}

const EMPTY: WebStream = {
  getReader: () => ({ read: async () => ({ done: true }), cancel: async () => {}, releaseLock: () => {} }),
};
