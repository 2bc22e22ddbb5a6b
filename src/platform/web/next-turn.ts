/** What is used of a browser's scope: Node's types do not declare it. */
declare const MessageChannel: new () => { port1: Port; port2: Port };

interface Port {
  onmessage: (() => void) | null;
  postMessage(message: unknown): void;
  close(): void;
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
