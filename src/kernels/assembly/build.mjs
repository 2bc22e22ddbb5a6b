// Compiles the SIMD kernels and writes them as base64 to src/kernels/simd/binary.ts, which is never checked in.

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
  const options = ['--runtime', 'stub', '--enable', 'simd', '-O3', '--noAssert', '--importMemory'];
  const { error, stderr } = await asc.main([source, '--baseDir', '/', '--outFile', wasm, ...options]);
  if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
  const bytes = readFileSync(wasm);
  const code = `/** Made by src/kernels/assembly/build.mjs: the kernels as a WebAssembly module, base64. */\nexport const BINARY = '${bytes.toString('base64')}';\n`;
  writeFileSync(target, code);
} finally {
  rmSync(folder, { recursive: true });
}
