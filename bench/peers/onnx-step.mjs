// A training step in onnxruntime-node: forward, backward and Adam as one graph, written by hand.

import * as ort from 'onnxruntime-node';
import { DIM, LR, RANK, TEMPERATURE } from '../step.mjs';
import { flat, flatInto } from './flat.mjs';
import { model, node } from './onnx.mjs';

const BETAS = [0.9, 0.999];
const EPS = 1e-8;

export async function onnxTrainer({ anchors, positives, adapter }, threads) {
  const n = anchors.length;
  const session = await ort.InferenceSession.create(stepModel(n, adapter.scaling), {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  });
  // B is stored transposed below A, so Adam works on one matrix.
  const transposedB = adapter.loraA.map((_, k) => adapter.loraB.map(row => row[k]));
  const matrix = (values, dims) => new ort.Tensor('float32', values, dims);
  const weightDims = [2 * DIM, RANK];
  let state = {
    weights: matrix(flat([...adapter.loraA, ...transposedB]), weightDims),
    first: matrix(new Float32Array(2 * DIM * RANK), weightDims),
    second: matrix(new Float32Array(2 * DIM * RANK), weightDims),
  };
  const [x, y] = [new Float32Array(n * DIM), new Float32Array(n * DIM)];
  let steps = 0;
  const step = async () => {
    steps++;
    const [correction1, correction2] = BETAS.map(beta => matrix(Float32Array.of(1 - beta ** steps), []));
    const batch = {
      anchors: matrix(flatInto(x, anchors), [n, DIM]),
      positives: matrix(flatInto(y, positives), [n, DIM]),
    };
    const { loss, ...next } = await session.run({ ...batch, ...state, correction1, correction2 });
    state = { weights: next.newWeights, first: next.newFirst, second: next.newSecond };
    return loss.data[0];
  };
  const weights = () => {
    const { data } = state.weights;
    const ofB = Array.from({ length: RANK * DIM }, (_, i) => data[(DIM + (i % DIM)) * RANK + Math.floor(i / DIM)]);
    return [...data.slice(0, DIM * RANK), ...ofB];
  };
  return { step, weights, dispose: () => session.release() };
}

function stepModel(n, scaling) {
  const scale = 1 / (n * TEMPERATURE);
  const weights = [2 * DIM, RANK];
  return model({
    name: 'step',
    inputs: {
      anchors: [n, DIM],
      positives: [n, DIM],
      weights,
      first: weights,
      second: weights,
      correction1: [],
      correction2: [],
    },
    outputs: { loss: [], newWeights: weights, newFirst: weights, newSecond: weights },
    constants: {
      axis: integers([1], [1]),
      halves: integers([2], [DIM, DIM]),
      diagonal: integers(
        [n, 1],
        Array.from({ length: n }, (_, i) => i),
      ),
      minus: -1,
      beta1: BETAS[0],
      rest1: 1 - BETAS[0],
      beta2: BETAS[1],
      rest2: 1 - BETAS[1],
      eps: EPS,
      rate: LR,
    },
    nodes: [
      // Outputs u = x + scaling · x · A · B, scaled to length 1.
      node('Split', ['weights', 'halves'], ['A', 'Bt'], { axis: 0 }),
      node('MatMul', ['anchors', 'A'], ['hidden']),
      node('Gemm', ['hidden', 'Bt', 'anchors'], ['u'], { alpha: scaling, transB: 1 }),
      node('ReduceL2', ['u'], ['uNorm'], { axes: [1], keepdims: 1 }),
      node('Div', ['u', 'uNorm'], ['uUnit']),
      node('ReduceL2', ['positives'], ['vNorm'], { axes: [1], keepdims: 1 }),
      node('Div', ['positives', 'vNorm'], ['vUnit']),
      // Softmax P. The loss is the mean of -log of its diagonal.
      node('Gemm', ['uUnit', 'vUnit'], ['logits'], { alpha: 1 / TEMPERATURE, transB: 1 }),
      node('Softmax', ['logits'], ['shares'], { axis: 1 }),
      node('GatherElements', ['shares', 'diagonal'], ['own'], { axis: 1 }),
      node('Log', ['own'], ['logOwn']),
      node('ReduceMean', ['logOwn'], ['meanLog'], { keepdims: 0 }),
      node('Mul', ['meanLog', 'minus'], ['loss']),
      // The gradient of û is (P - I) · v̂ / (n · temperature). The gradient of u is the same without its radial part.
      node('Gemm', ['shares', 'vUnit', 'vUnit'], ['gradUnit'], { alpha: scale, beta: -scale }),
      node('Mul', ['gradUnit', 'uUnit'], ['along']),
      node('ReduceSum', ['along', 'axis'], ['radial'], { keepdims: 1 }),
      node('Mul', ['uUnit', 'radial'], ['radialPart']),
      node('Sub', ['gradUnit', 'radialPart'], ['tangential']),
      node('Div', ['tangential', 'uNorm'], ['gradU']),
      node('Gemm', ['gradU', 'hidden'], ['gradBt'], { alpha: scaling, transA: 1 }),
      node('MatMul', ['gradU', 'Bt'], ['gradHidden']),
      node('Gemm', ['anchors', 'gradHidden'], ['gradA'], { alpha: scaling, transA: 1 }),
      node('Concat', ['gradA', 'gradBt'], ['gradient'], { axis: 0 }),
      ...adam(),
    ],
  });
}

function adam() {
  return [
    node('Mul', ['first', 'beta1'], ['keptFirst']),
    node('Mul', ['gradient', 'rest1'], ['addedFirst']),
    node('Add', ['keptFirst', 'addedFirst'], ['newFirst']),
    node('Mul', ['second', 'beta2'], ['keptSecond']),
    node('Mul', ['gradient', 'gradient'], ['squares']),
    node('Mul', ['squares', 'rest2'], ['addedSecond']),
    node('Add', ['keptSecond', 'addedSecond'], ['newSecond']),
    node('Div', ['newSecond', 'correction2'], ['variance']),
    node('Sqrt', ['variance'], ['deviation']),
    node('Add', ['deviation', 'eps'], ['damped']),
    node('Div', ['rate', 'correction1'], ['correctedRate']),
    node('Mul', ['newFirst', 'correctedRate'], ['scaledFirst']),
    node('Div', ['scaledFirst', 'damped'], ['move']),
    node('Sub', ['weights', 'move'], ['newWeights']),
  ];
}

function integers(dims, values) {
  return { dims, values: BigInt64Array.from(values, BigInt) };
}
