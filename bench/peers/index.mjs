// Times whole training steps of this and other libraries in turns, after comparing their losses and weights.
// `node index.mjs loss` times the loss only. `node index.mjs native` skips the libraries that take seconds per step.

import { cpus } from 'node:os';
import { BATCHES, batchOf, differencesOf, expectSame, prepare, trainerOf, WAYS } from '../step.mjs';
import { jaxTrainer } from './jax-step.mjs';
import { compareLosses } from './loss.mjs';
import { onnxTrainer } from './onnx-step.mjs';
import { tfjsTrainer } from './tfjs-step.mjs';
import { medians } from './turns.mjs';

/** A step that takes longer than this, in milliseconds, is timed only once, during the comparison. */
const SLOW = 1000;

const NATIVE = {
  'onnx 1 thread': data => onnxTrainer(data, 1),
  'onnx 2 threads': data => onnxTrainer(data, 2),
};
const SCRIPTED = {
  'jax-js wasm': jaxTrainer,
  'tfjs wasm': data => tfjsTrainer(data, 'wasm'),
  'tfjs cpu': data => (data.anchors.length > 256 ? undefined : tfjsTrainer(data, 'cpu')),
};

const [only] = process.argv.slice(2);
console.log(`${cpus()[0].model}, Node ${process.version}. Medians of runs in turns.\n`);
if (only === 'loss') await compareLosses();
else await compareSteps(only === 'native' ? NATIVE : { ...NATIVE, ...SCRIPTED });
// Some libraries keep threads that would keep the process alive.
process.exit();

async function compareSteps(peers) {
  const names = [...Object.keys(WAYS).map(name => `here ${name}`), ...Object.keys(peers)];
  console.log('A step: LoRA 384 rank 8 with residual on the anchors, InfoNCE, backward, Adam. Milliseconds:');
  print(['batch', ...names]);
  const agreement = {};
  for (const n of BATCHES) {
    const data = batchOf(n);
    const compared = n > 1024 ? 2 : 5;
    const trainers = {};
    const ms = {};
    for (const [name, way] of Object.entries(WAYS)) trainers[`here ${name}`] = trainerOf(data, way.options);
    const expected = await train(trainerOf(data), compared);
    for (const [name, make] of Object.entries(peers)) {
      const trainer = await make(data);
      if (trainer) trainers[name] = trainer;
    }
    for (const [name, trainer] of Object.entries(trainers)) {
      const { time, ...actual } = await train(trainer, compared);
      // Some libraries approximate exponentials.
      expectSame(`${name}, batch ${n}`, actual, expected, {
        loss: 1e-4,
        ...WAYS[name.replace('here ', '')]?.tolerance,
      });
      const { loss, moves } = differencesOf(actual, expected);
      const known = agreement[name] ?? { loss: 0, moves: 0 };
      agreement[name] = { loss: Math.max(loss, known.loss), moves: Math.max(moves, known.moves) };
      if (time > SLOW) ms[name] = time;
    }
    const timed = Object.entries(trainers).filter(([name]) => !(name in ms));
    const before = name => prepare(WAYS[name.replace('here ', '')], trainers[name].step);
    Object.assign(ms, await medians(Object.fromEntries(timed.map(([name, { step }]) => [name, step])), before));
    print([n, ...names.map(name => (name in ms ? ms[name].toFixed(ms[name] < 10 ? 3 : 1) : '-'))]);
    for (const trainer of Object.values(trainers)) await trainer.dispose?.();
  }
  console.log('\nLargest relative difference from float32 here, of losses and of the first moves of all weights:');
  for (const [name, { loss, moves }] of Object.entries(agreement)) {
    console.log(`${name.padEnd(16)} ${loss.toExponential(1)}  ${moves.toExponential(1)}`);
  }
}

async function train({ step, weights }, count) {
  const before = weights();
  const losses = [];
  let time = 0;
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    losses.push(await step());
    time = performance.now() - start;
  }
  return { losses, moves: weights().map((value, i) => value - before[i]), time };
}

function print(cells) {
  console.log(cells.map((cell, i) => String(cell).padStart(i === 0 ? 6 : 16)).join(''));
}
