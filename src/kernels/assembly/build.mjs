// Compiles the SIMD kernels to src/kernels/simd/kernels.wasm, and to base64 in binary.ts beside it. Neither is checked in.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const source = fileURLToPath(new URL('index.ts', import.meta.url));
const target = fileURLToPath(new URL('../simd/binary.ts', import.meta.url));
const wasm = fileURLToPath(new URL('../simd/kernels.wasm', import.meta.url));

const memory = ['--importMemory', '--maximumMemory', '65536'];
const options = ['--runtime', 'stub', '--enable', 'simd', '-O3', '--noAssert', ...memory];
const { error, stderr } = await asc.main([source, '--baseDir', '/', '--outFile', wasm, ...options]);
if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
const compiled = readFileSync(wasm);
const build = createHash('sha256').update(compiled).digest('hex').slice(0, 16);
const bytes = Buffer.concat([compiled, customSection('build', build)]);
writeFileSync(wasm, bytes);
const code = `/** Made by src/kernels/assembly/build.mjs: the kernels as a WebAssembly module, base64. */
export const BINARY = '${bytes.toString('base64')}';
/** What its custom section "build" says: a module from elsewhere is compared with it. */
export const BUILD = '${build}';
/** Where its imported memory says whether it is shared. */
export const MEMORY_FLAGS = ${flagsOf(bytes)};
`;
writeFileSync(target, code);

/** A section that WebAssembly ignores: number 0, its length, the length of its name, the name, the text. */
function customSection(name, text) {
  return Buffer.concat([Buffer.of(0, 1 + name.length + text.length, name.length), Buffer.from(name + text)]);
}

/** Position of the flags of the imported memory, which has a maximum and is not shared. */
function flagsOf(bytes) {
  const [name, memory, withMaximum] = ['\x03env\x06memory', 2, 1];
  const at = bytes.indexOf(name, 0, 'latin1') + name.length;
  if (at < name.length || bytes[at] !== memory || bytes[at + 1] !== withMaximum) throw new Error('no imported memory');
  return at + 1;
}
