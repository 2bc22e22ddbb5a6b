/** What is used of a browser's scope: Node's types do not declare it. */
declare const Worker: (new (url: string) => { postMessage(message: unknown): void; terminate(): void }) | undefined;

export function whyNoWorkers(): string | undefined {
  return typeof Worker === 'undefined' ? 'workers are missing here' : undefined;
}

/**
 * Starts a thread.
 *
 * @param source A script with a function of the name `main`, which is called with `data`.
 */
export function startWorker(source: string, main: string, data: object): { end(): void } {
  const url = URL.createObjectURL(
    new Blob([`${source}\nonmessage = event => (${main}(event.data), close());`], { type: 'text/javascript' }),
  );
  const worker = new Worker!(url);
  URL.revokeObjectURL(url);
  worker.postMessage(data);
  return { end: () => worker.terminate() };
}
