// A training step in TensorFlow.js with its own gradients and Adam.

import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { DIM, LR, TEMPERATURE } from '../step.mjs';
import { flat } from './flat.mjs';

setWasmPaths(fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm')).replace(/[^/]+$/, ''));

/** @param backend `'wasm'` or `'cpu'`. */
export async function tfjsTrainer({ anchors, positives, adapter }, backend) {
  await tf.setBackend(backend);
  const [a, b] = [adapter.loraA, adapter.loraB].map(rows =>
    tf.variable(tf.tensor2d(flat(rows), [rows.length, rows[0].length])),
  );
  const optimizer = tf.train.adam(LR, 0.9, 0.999, 1e-8);
  const step = async () => {
    if (tf.getBackend() !== backend) await tf.setBackend(backend);
    const loss = tf.tidy(() => {
      const [x, y] = [anchors, positives].map(rows => tf.tensor2d(flat(rows), [rows.length, DIM]));
      return optimizer.minimize(() => {
        const [u, v] = [x.add(x.matMul(a).matMul(b).mul(adapter.scaling)), y].map(unit);
        const logits = u.matMul(v, false, true).div(TEMPERATURE);
        return logits.logSumExp(1).sub(u.mul(v).sum(1).div(TEMPERATURE)).mean();
      }, true);
    });
    const value = (await loss.data())[0];
    loss.dispose();
    return value;
  };
  const weights = () => [a, b].flatMap(matrix => Array.from(matrix.dataSync()));
  const dispose = () => {
    for (const each of [a, b, optimizer]) each.dispose();
  };
  return { step, weights, dispose };
}

export function unit(rows) {
  return rows.div(rows.square().sum(1, true).sqrt());
}
