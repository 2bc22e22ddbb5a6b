// Compiles the SIMD kernels and writes them as base64 to src/kernels/simd/binary.ts, which is not checked in.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const source = fileURLToPath(new URL('index.ts', import.meta.url));
const target = fileURLToPath(new URL('../simd/binary.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
const wasm = join(folder, 'kernels.wasm');

try {
  const memory = ['--importMemory', '--maximumMemory', '65536'];
  const options = ['--runtime', 'stub', '--enable', 'simd', '-O3', '--noAssert', ...memory];
  const { error, stderr } = await asc.main([source, '--baseDir', '/', '--outFile', wasm, ...options]);
  if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
  const bytes = readFileSync(wasm);
  const code = `/** Made by src/kernels/assembly/build.mjs: the kernels as a WebAssembly module, base64. */
export const BINARY = '${bytes.toString('base64')}';
/** Where its imported memory says whether it is shared. */
export const MEMORY_FLAGS = ${flagsOf(bytes)};
`;
  writeFileSync(target, code);
} finally {
  rmSync(folder, { recursive: true });
}

/** Position of the flags of the imported memory, which has a maximum and is not shared. */
function flagsOf(bytes) {
  const [name, memory, withMaximum] = ['\x03env\x06memory', 2, 1];
  const at = bytes.indexOf(name, 0, 'latin1') + name.length;
  if (at < name.length || bytes[at] !== memory || bytes[at + 1] !== withMaximum) throw new Error('no imported memory');
  return at + 1;
}
