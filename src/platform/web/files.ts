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
