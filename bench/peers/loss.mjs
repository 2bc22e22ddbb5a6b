// Times the loss only: InfoNCE with 384 floats per row in onnxruntime-node (native code, one thread), TensorFlow.js and
// this library.

import * as tf from '@tensorflow/tfjs';
import { LossComputer } from 'microlora-training-utils';
import * as ort from 'onnxruntime-node';
import { batchOf, DIM, TEMPERATURE } from '../step.mjs';
import { flat } from './flat.mjs';
import { model, node } from './onnx.mjs';
import { unit } from './tfjs-step.mjs';
import { medians } from './turns.mjs';

export async function compareLosses() {
  console.log('InfoNCE only, ms. × is the speed-up of this library');
  console.log(row(['batch', 'here', 'onnxruntime-node', 'tfjs wasm', 'tfjs cpu']));
  for (const n of [8, 64, 256, 1024]) {
    const { anchors, positives } = batchOf(n);
    const session = await ort.InferenceSession.create(infoNCEModel(n), { intraOpNumThreads: 1, interOpNumThreads: 1 });
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
    await session.release();
  }
}

/** Computes cosines from normalised rows, and the mean of log-sum-exp minus the anchor's own logit. */
function infoNCEModel(n) {
  return model({
    name: 'infonce',
    inputs: { anchors: [n, DIM], positives: [n, DIM] },
    outputs: { loss: [] },
    constants: { axis: { dims: [1], values: BigInt64Array.of(1n) }, scale: 1 / TEMPERATURE },
    nodes: [
      node('LpNormalization', ['anchors'], ['a'], { axis: 1, p: 2 }),
      node('LpNormalization', ['positives'], ['p'], { axis: 1, p: 2 }),
      node('Gemm', ['a', 'p'], ['logits'], { alpha: 1 / TEMPERATURE, transB: 1 }),
      node('ReduceLogSumExp', ['logits'], ['partition'], { axes: [1], keepdims: 0 }),
      node('Mul', ['a', 'p'], ['products']),
      node('ReduceSum', ['products', 'axis'], ['cosines'], { keepdims: 0 }),
      node('Mul', ['cosines', 'scale'], ['own']),
      node('Sub', ['partition', 'own'], ['losses']),
      node('ReduceMean', ['losses'], ['loss'], { keepdims: 0 }),
    ],
  });
}

async function onTensorFlow(backend, anchors, positives) {
  if (tf.getBackend() !== backend) await tf.setBackend(backend);
  const loss = tf.tidy(() => {
    const [a, p] = [anchors, positives].map(rows => unit(tf.tensor2d(flat(rows), [rows.length, DIM])));
    const logits = tf.matMul(a, p, false, true).div(TEMPERATURE);
    return logits.logSumExp(1).sub(a.mul(p).sum(1).div(TEMPERATURE)).mean();
  });
  const value = (await loss.data())[0];
  loss.dispose();
  return value;
}

function onnxTensor(list) {
  return new ort.Tensor('float32', flat(list), [list.length, DIM]);
}

function row(cells) {
  return cells.map(cell => String(cell).padStart(20)).join('');
}
