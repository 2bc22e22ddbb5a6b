// Times reading of safetensors: a real file, and headers that are made to take long.

import { LoRAAdapter } from 'microlora-training-utils';
import { measure } from './measure.mjs';

export function runSafetensors() {
  console.log('\nsafetensors: time to read or refuse a file');
  const adapter = new LoRAAdapter({ dim: 4096, rank: 16, seed: 1 });
  const adapters = new Map(Array.from({ length: 50 }, (_, i) => [`layers.${i}.q`, adapter]));
  time('50 adapters of 4096, rank 16', LoRAAdapter.toSafetensors(adapters));

  const tensors = Array.from({ length: 100_000 }, (_, i) => {
    const key = `base_model.model.layers.${i >> 1}.lora_${i % 2 ? 'B' : 'A'}.weight`;
    return `"${key}":{"dtype":"F32","shape":[1,1],"data_offsets":[${4 * i},${4 * i + 4}]}`;
  });
  const entries = new Uint8Array(4 * tensors.length);
  time('50,000 adapters of 1, rank 1', file(`{"__metadata__":{"lora_alpha":"1"},${tensors}}`, entries));
  const alphas = JSON.stringify(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`layers.${i}`, 1])));
  const metadata = JSON.stringify({ alpha_pattern: alphas });
  time('50,000 adapters, each with a key of alpha_pattern', file(`{"__metadata__":${metadata},${tensors}}`, entries));

  const keys = Array.from({ length: 1_000_000 }, (_, i) => `"key${i}":"value"`);
  time('a million keys of metadata', file(`{"__metadata__":{${keys}}}`));
  time('a key of 90 MB', file(`{"${'x'.repeat(9e7)}":{}}`));
}

function file(header, entries = []) {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + entries.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(entries, 8 + text.length);
  return bytes;
}

function time(name, bytes) {
  let outcome;
  const read = () => {
    try {
      outcome = `${LoRAAdapter.fromSafetensors(bytes).size} adapters`;
    } catch (error) {
      outcome = error instanceof RangeError ? 'refused' : String(error);
    }
  };
  const { ms } = measure({ ms: read });
  console.log(
    name.padEnd(54) + `${(bytes.length / 1e6).toFixed(1)} MB`.padStart(11) + `${ms.toFixed(0)} ms`.padStart(11),
    ` ${outcome}`,
  );
}
