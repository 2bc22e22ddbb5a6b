// A training step in jax-js with its own gradients, compiled as one function. jax-js has no Adam, so it is written
// here.

import { init, jit, numpy as np, valueAndGrad } from '@jax-js/jax';
import { DIM, LR, TEMPERATURE } from '../step.mjs';
import { flat, flatInto } from './flat.mjs';

const [BETA1, BETA2] = [0.9, 0.999];
const EPS = 1e-8;

await init('wasm');

export function jaxTrainer({ anchors, positives, adapter }) {
  const n = anchors.length;
  const matrix = rows => np.array(flat(rows)).reshape([rows.length, rows[0].length]);
  const zeros = rows => np.zeros([rows.length, rows[0].length]);
  const { loraA, loraB, scaling } = adapter;
  let weights = { a: matrix(loraA), b: matrix(loraB) };
  let moments = { a: [zeros(loraA), zeros(loraA)], b: [zeros(loraB), zeros(loraB)] };
  const compiled = jit(stepOf(scaling));
  const [x, y] = [new Float32Array(n * DIM), new Float32Array(n * DIM)];
  let steps = 0;
  const step = async () => {
    steps++;
    const batch = [flatInto(x, anchors), flatInto(y, positives)].map(all => np.array(all).reshape([n, DIM]));
    const corrections = [BETA1, BETA2].map(beta => np.array(1 - beta ** steps));
    const result = compiled(weights, moments, batch, corrections);
    [weights, moments] = [result.weights, result.moments];
    return (await result.loss.data())[0];
  };
  const read = () => [weights.a, weights.b].flatMap(each => Array.from(each.ref.dataSync()));
  const dispose = () => {
    for (const each of [weights.a, weights.b, ...moments.a, ...moments.b]) each.dispose();
    compiled.dispose();
  };
  return { step, weights: read, dispose };
}

/** In jax-js, using an array consumes it. `.ref` keeps it for another use. */
function stepOf(scaling) {
  const lossOf = ({ a, b }, [x, y]) => {
    const adapted = x.ref.add(np.matmul(np.matmul(x, a), b).mul(scaling));
    const [u, v] = [unit(adapted), unit(y)];
    const logits = np.matmul(u.ref, np.matrixTranspose(v.ref)).div(TEMPERATURE);
    const own = u.mul(v).sum(1).div(TEMPERATURE);
    return logSumExp(logits).sub(own).mean();
  };
  return (weights, moments, batch, [correction1, correction2]) => {
    const [loss, gradients] = valueAndGrad(lossOf)({ a: weights.a.ref, b: weights.b.ref }, batch);
    const next = { loss, weights: {}, moments: {} };
    for (const name of ['a', 'b']) {
      const gradient = gradients[name];
      const [first, second] = moments[name];
      const newFirst = first.mul(BETA1).add(gradient.ref.mul(1 - BETA1));
      const newSecond = second.mul(BETA2).add(np.square(gradient).mul(1 - BETA2));
      const root = np.sqrt(newSecond.ref.div(correction2.ref)).add(EPS);
      next.weights[name] = weights[name].sub(newFirst.ref.div(correction1.ref).mul(LR).div(root));
      next.moments[name] = [newFirst, newSecond];
    }
    correction1.dispose();
    correction2.dispose();
    return next;
  };
}

function unit(rows) {
  return rows.ref.div(np.sqrt(np.square(rows).sum(1, { keepdims: true })));
}

/** Log-sum-exp of logits within ±1 / temperature. Their exponentials are finite without subtracting the largest. */
function logSumExp(logits) {
  return np.log(np.exp(logits).sum(1));
}
