// InfoNCE over 384 floats a row in onnxruntime-node (native code, one thread), TensorFlow.js and here, in turns.

import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { LossComputer } from 'microlora-training-utils';
import * as ort from 'onnxruntime-node';
import { infoNCEModel } from './onnx-model.mjs';

const DIM = 384;
const TEMPERATURE = 0.07;
const TURNS = 15;

setWasmPaths(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')).replace(/[^/]+$/, ''));
await tf.setBackend('wasm');
console.log(
  `${cpus()[0].model}, Node ${process.version}. Median ms of InfoNCE, in turns; × is our time against theirs.\n`,
);
console.log(row(['batch', 'here', 'onnxruntime-node', 'tfjs wasm', 'tfjs cpu']));

for (const n of [8, 64, 256, 1024]) {
  const [anchors, positives] = [rows(n), rows(n)];
  const session = await ort.InferenceSession.create(infoNCEModel(n, DIM, TEMPERATURE), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const variants = {
    here: async () => LossComputer.contrastive(anchors, positives, null, { temperature: TEMPERATURE }).loss,
    onnx: async () => {
      const feeds = { anchors: onnxTensor(anchors), positives: onnxTensor(positives) };
      return (await session.run(feeds)).loss.data[0];
    },
    wasm: () => onTensorFlow('wasm', anchors, positives),
    cpu: () => onTensorFlow('cpu', anchors, positives),
  };
  const expected = await variants.here();
  for (const [name, run] of Object.entries(variants)) {
    const loss = await run();
    if (Math.abs(loss - expected) > 1e-4 * expected) throw new Error(`${name}: ${loss} instead of ${expected}`);
  }
  const ms = await medians(variants);
  const cell = name => `${ms[name].toFixed(3)} (×${(ms[name] / ms.here).toFixed(2)})`;
  console.log(row([n, ms.here.toFixed(3), cell('onnx'), cell('wasm'), cell('cpu')]));
}

async function medians(variants) {
  const samples = Object.fromEntries(Object.keys(variants).map(name => [name, []]));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [name, run] of Object.entries(variants)) {
      const start = performance.now();
      let calls = 0;
      while (calls === 0 || performance.now() - start < 20) {
        await run();
        calls++;
      }
      samples[name].push((performance.now() - start) / calls);
    }
  }
  const median = values => values.sort((a, b) => a - b)[TURNS >> 1];
  return Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, median(values)]));
}

async function onTensorFlow(backend, anchors, positives) {
  if (tf.getBackend() !== backend) await tf.setBackend(backend);
  const loss = tf.tidy(() => {
    const [a, p] = [normalized(anchors), normalized(positives)];
    const logits = tf.matMul(a, p, false, true).div(TEMPERATURE);
    return logits.logSumExp(1).sub(a.mul(p).sum(1).div(TEMPERATURE)).mean();
  });
  const value = (await loss.data())[0];
  loss.dispose();
  return value;
}

function normalized(list) {
  const matrix = tf.tensor2d(flat(list), [list.length, DIM]);
  return matrix.div(matrix.norm('euclidean', 1, true));
}

function onnxTensor(list) {
  return new ort.Tensor('float32', flat(list), [list.length, DIM]);
}

/** Rows are what a training script holds, so each library copies them in. */
function flat(list) {
  const all = new Float32Array(list.length * DIM);
  for (let i = 0; i < list.length; i++) all.set(list[i], i * DIM);
  return all;
}

function rows(count) {
  return Array.from({ length: count }, () => Float32Array.from({ length: DIM }, () => Math.random() - 0.5));
}

function row(cells) {
  return cells.map(cell => String(cell).padStart(20)).join('');
}
