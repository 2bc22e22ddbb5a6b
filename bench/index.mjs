// `npm run bench` compares plain loops with both kernel backends, in one process. It checks that results are equal
// before it times them. `npm run bench -- Fisher` runs the rows whose name contains the word.

import { cpus } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  AdamW,
  BatchGenerator,
  DataPreprocessor,
  EWCManager,
  GradientCheckpointer,
  kernelBackend,
  LoRAAdapter,
  LossComputer,
  mineHardNegatives,
  Retriever,
  releaseKernelMemory,
  useKernelBackend,
} from 'microlora-training-utils';
import { runCheckpoint } from './checkpoint.mjs';
import { runContinual } from './continual.mjs';
import { runDistributed } from './distributed.mjs';
import { measure, measureAsync, peakWhile } from './measure.mjs';
import * as plain from './plain.mjs';
import { runSafetensors } from './safetensors.mjs';
import { runJob, runStep } from './step.mjs';
import { runEmbedding } from './text.mjs';
import { runThreads } from './threads.mjs';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

const only = process.argv[2] ?? '';
const DIM = 384;

console.log(
  `${cpus()[0].model}, Node ${process.version}. Medians of interleaved runs. × is the speed-up over plain loops.\n`,
);
console.log(['work'.padEnd(54), 'plain ms', 'scalar ms', 'simd ms', 'scalar', 'simd'].map(pad).join(''));

for (const n of [8, 64, 256, 1024]) {
  const [anchors, positives] = [rows(n, DIM), rows(n, DIM)];
  compare(`contrastive, batch ${n}`, {
    plain: () => plain.contrastive(anchors, positives),
    library: () => LossComputer.contrastive(anchors, positives).loss,
  });
}
for (const n of [64, 256]) {
  const [anchors, positives] = [rows(n, DIM), rows(n, DIM)];
  compare(`contrastive with gradients, batch ${n} (plain: loss only)`, {
    plain: () => plain.contrastive(anchors, positives),
    library: () => LossComputer.contrastive(anchors, positives, null, { gradients: true }).loss,
  });
}
for (const negativeMode of ['own', 'inBatch+own']) {
  const [anchors, positives, negatives] = [rows(256, DIM), rows(256, DIM), rows(1024, DIM)];
  compare(`contrastive, ${negativeMode}, 256 with 4 negatives each`, {
    plain: () => plain.contrastiveOwn(anchors, positives, negatives, negativeMode === 'inBatch+own'),
    library: () => LossComputer.contrastive(anchors, positives, negatives, { negativeMode }).loss,
  });
}
for (const n of [8, 256]) {
  const [anchors, positives] = [rows(n, DIM), rows(n, DIM)];
  const generator = new BatchGenerator([]);
  compare(`hardest negatives, ${n}`, {
    plain: () => plain.hardestNegatives(anchors, positives),
    library: () => generator._mineHardNegatives(anchors, positives),
  });
}
if ('search, int16, mineHardNegatives, evaluate'.includes(only)) {
  const [queries, candidates] = [rows(100, DIM), rows(20_000, DIM)];
  const retriever = new Retriever(candidates);
  const relevant = queries.map((_, i) => 7 * i);
  const cosine = LossComputer._cosineSimilarity;
  const found = plain.search(queries, candidates, 10, cosine);
  expectEqual('search, indices', retriever.search(queries, 10).indices, found.indices, 0);
  compare('search, best 10 of 20,000, 100 queries', {
    plain: () => plain.search(queries, candidates, 10, cosine).scores,
    library: () => retriever.search(queries, 10).scores,
  });
  compare('search, best 10 of 20,000, with packing, 100 queries', {
    plain: () => plain.search(queries, candidates, 10, cosine).scores,
    library: () => new Retriever(candidates).search(queries, 10).scores,
  });
  compare('search, best 10 of 20,000, 1 query', {
    plain: () => plain.search(queries.slice(0, 1), candidates, 10, cosine).scores,
    library: () => retriever.search(queries.slice(0, 1), 10).scores,
  });
  for (const n of [1, 100]) {
    const some = queries.slice(0, n);
    const int16 = { precision: 'int16' };
    expectEqual('search, int16', retriever.search(some, 10, int16).scores, retriever.search(some, 10).scores, 0);
    compare(`search, best 10 of 20,000, int16, ${n} ${n === 1 ? 'query' : 'queries'}`, {
      plain: () => plain.search(some, candidates, 10, cosine).scores,
      library: () => retriever.search(some, 10, int16).scores,
    });
  }
  compare('evaluate, 20,000 candidates, 100 queries', {
    plain: () => [plain.ranks(queries, candidates, relevant, cosine)],
    library: () => [retriever.evaluate(queries, relevant).ranks],
  });
  compare('evaluate, 20,000 candidates, int16, 100 queries', {
    plain: () => [plain.ranks(queries, candidates, relevant, cosine)],
    library: () => [retriever.evaluate(queries, relevant, { precision: 'int16' }).ranks],
  });
  compare('mineHardNegatives, 5 of 20,000, 100 queries', {
    plain: () => plain.mineFromCorpus(queries, candidates, relevant, 5, 0.2, cosine),
    library: () => mineHardNegatives(queries, retriever, relevant, { count: 5, maxSimilarity: 0.2 }),
  });
}
for (const [kind, convert] of [
  ['number[][]', row => Array.from(row)],
  ['Float32Array rows', row => row],
]) {
  const logits = rows(32, 32_000).map(convert);
  const targets = logits.map((_, i) => i * 7);
  compare(`cross-entropy 32 × 32,000, ${kind}`, {
    plain: () => plain.crossEntropy(logits, targets),
    library: () => LossComputer.crossEntropy(logits, targets).loss,
  });
}
for (const [dim, rank] of [
  [384, 4],
  [768, 8],
  [2048, 8],
]) {
  const adapters = new Map(['query', 'key', 'value', 'dense'].map(name => [name, numberAdapter(dim, rank)]));
  const data = rows(200, dim).map((inputEmb, i, all) => ({ inputEmb, outputEmb: all[(i + 1) % all.length] }));
  const ewc = new EWCManager();
  compare(`Fisher, 200 examples, 4 adapters, ${dim} rank ${rank}`, {
    plain: () => plain.fisher(adapters, data).get('key').fisherA,
    library: () => {
      ewc.computeFisher(adapters, data);
      return ewc.fisherInfo.get('key').fisherA;
    },
  });
}
// The plain loops run on nested arrays, which are all that the original takes.
for (const [kind, make] of [
  ['number[][]', structuredClone],
  ['LoRAAdapter', LoRAAdapter.from],
]) {
  const names = ['query', 'key', 'value', 'output'];
  const made = () => new Map(names.map(name => [name, numberAdapter(DIM, 4)]));
  const ofKind = map => new Map(Array.from(map, ([name, adapter]) => [name, make(adapter)]));
  const plainMoved = made();
  const moved = ofKind(plainMoved);
  const ewc = new EWCManager({ lambda: 1e-6 });
  ewc.computeFisher(
    ofKind(made()),
    rows(20, DIM).map(row => ({ inputEmb: row, outputEmb: row })),
  );
  const { fisherInfo, optimalParams } = nested(ewc.export());
  const gradients = new Map(
    names.map(name => [
      name,
      moved.get(name).trace?.(rows(1, DIM)).backward(rows(1, DIM)) ?? plain.zeroGradients(DIM, 4),
    ]),
  );
  const plainGradients = new Map(
    Array.from(gradients, ([name, { gradA, gradB }]) => [
      name,
      { gradA: Array.from(gradA, row => Array.from(row)), gradB: Array.from(gradB, row => Array.from(row)) },
    ]),
  );
  const what = `4 adapters of 384 rank 4, ${kind}`;
  compare(`penalty, ${what}`, {
    plain: () => plain.penalty(plainMoved, fisherInfo, optimalParams, 1e-6),
    library: () => ewc.computePenalty(moved),
  });
  compare(`penaltyGradient, ${what}`, {
    plain: () => plain.penaltyGradient(plainMoved, fisherInfo, optimalParams, 1e-6).get('key').gradA,
    library: () => ewc.penaltyGradient(moved).get('key').gradA,
  });
  compare(`addPenaltyGradient, ${what}`, {
    plain: () => plain.addPenaltyGradient(plainMoved, fisherInfo, optimalParams, 1e-6, plainGradients),
    library: () => ewc.addPenaltyGradient(moved, gradients),
  });
  compare(`applyGradient, ${what}`, {
    plain: () => plain.applyGradient(plainMoved, fisherInfo, optimalParams, 1e-6, 1e-3),
    library: () => ewc.applyGradient(moved, 1e-3),
  });
  const states = new Map(names.map(name => [name, { loraA: plain.adamState(DIM, 4), loraB: plain.adamState(4, DIM) }]));
  const optimizers = new Map();
  compare(`AdamW, ${what}`, {
    plain: () => {
      for (const [name, { loraA, loraB }] of plainMoved) {
        plain.adamw(loraA, plainGradients.get(name).gradA, states.get(name).loraA, { lr: 1e-12 });
        plain.adamw(loraB, plainGradients.get(name).gradB, states.get(name).loraB, { lr: 1e-12 });
      }
      return plainMoved.get('key').loraA;
    },
    library: () => {
      const backend = kernelBackend();
      if (!optimizers.has(backend)) optimizers.set(backend, new AdamW(moved));
      optimizers.get(backend).step(gradients, 1e-12);
      return moved.get('key').loraA;
    },
  });
}
{
  const [a, b, c] = [rows(64, DIM), rows(64, DIM), rows(64, DIM)];
  compare('triplet, 64 rows', {
    plain: () => plain.triplet(a, b, c),
    library: () => LossComputer.triplet(a, b, c).loss,
  });
  compare('cosine embedding, 64 rows', {
    plain: () => plain.cosineEmbedding(a, b),
    library: () => LossComputer.cosineEmbedding(a, b).loss,
  });
  compare('mse, 64 rows', { plain: () => plain.mse(a, b), library: () => LossComputer.mse(a, b).loss });
  const gradients = { gradients: true };
  const all = ({ gradients: first, targetGradients, negativeGradients = [] }) => [
    ...first,
    ...targetGradients,
    ...negativeGradients,
  ];
  compare('gradients of contrastive, 64 rows (plain: anchors only)', {
    plain: () => plain.contrastiveGradient(a, b),
    library: () => LossComputer.contrastive(a, b, null, gradients).gradients,
  });
  compare('gradients of triplet, 64 rows', {
    plain: () => plain.tripletGradients(a, b, c),
    library: () => all(LossComputer.triplet(a, b, c, gradients)),
  });
  compare('gradients of cosine embedding, 64 rows', {
    plain: () => plain.cosineGradients(a, b),
    library: () => all(LossComputer.cosineEmbedding(a, b, null, gradients)),
  });
  compare('gradients of mse, 64 rows', {
    plain: () => plain.mseGradients(a, b),
    library: () => all(LossComputer.mse(a, b, gradients)),
  });
  const logits = rows(32, 32_000);
  const targets = logits.map((_, i) => i * 7);
  compare('gradients of cross-entropy, 32 × 32,000', {
    plain: () => plain.crossEntropyGradient(logits, targets),
    library: () => LossComputer.crossEntropy(logits, targets, gradients).gradients,
  });
  for (const strategy of ['hardest', 'semi-hard']) {
    const data = rows(256, DIM).map((inputEmb, i, all) => ({ inputEmb, outputEmb: all[(i + 1) % 256], input: `${i}` }));
    const generator = new BatchGenerator(data, { batchSize: 256, shuffle: false, negativeMining: { strategy } });
    compare(`negativeMining, ${strategy}, batch 256`, {
      plain: () => plain.mineNegatives(data, strategy),
      library: () => {
        generator.setEpoch(0);
        return generator.next().value.negatives;
      },
    });
  }
  const adapter = LoRAAdapter.from(numberAdapter(DIM, 8));
  compare('LoRA forward and backward, 64 rows, rank 8', {
    plain: () => {
      plain.loraForward(adapter, a);
      return plain.loraBackward(adapter, a, b).gradA;
    },
    library: () => {
      return adapter.trace(a).backward(b).gradA;
    },
  });
}

{
  const words = ['find', 'the', 'file', 'that', 'holds', 'a', 'word', 'and', 'list', 'its', 'lines'];
  const text = i => Array.from({ length: 12 }, (_, k) => words[(i * (k + 7)) % words.length]).join(' ');
  const kinds = { plain: plain.Preprocessor, library: DataPreprocessor };
  const rowsOf = processed => processed.slice(0, 100).map(example => example.outputEmb);
  const [examples, preprocessors] = [{}, {}];
  // Flat strings that no Map has seen. V8 caches a string's hash, which would speed up the next variant.
  const fresh = string => Buffer.from(string).toString();
  const renew = name => {
    const make = (_, i) => ({ input: fresh(`${text(i)} ${i}`), output: fresh(`${i} ${text(i + 5)}`) });
    examples[name] = Array.from({ length: 10_000 }, make);
    preprocessors[name] = new kinds[name]();
  };
  const read = name => preprocessors[name].process(examples[name]);
  const run = name => async () => rowsOf(await read(name));
  const variants = { plain: run('plain'), library: run('library') };
  const again = async name => {
    renew(name);
    await read(name);
  };
  await compareAsync('process 10,000 new examples', variants, renew);
  await compareAsync('process 10,000 examples a second time', variants, again);
  await compareAsync(
    'process 10,000 examples again, from the cache',
    variants,
    name => preprocessors[name] ?? again(name),
  );
}

if ('growth'.includes(only)) {
  useKernelBackend('simd');
  console.log(
    '\ngrowth: time of contrastive by batch, and products per second (n² · 384 for the loss, three times that with gradients)',
  );
  for (const n of [64, 128, 256, 512, 1024, 2048]) {
    const [anchors, positives] = [rows(n, DIM), rows(n, DIM)];
    const ms = measure({
      loss: () => LossComputer.contrastive(anchors, positives),
      gradients: () => LossComputer.contrastive(anchors, positives, null, { gradients: true }),
    });
    const rate = (time, products) => `${((products * n * n * DIM) / time / 1e6).toFixed(1)} GMAC/s`;
    const cells = [ms.loss.toFixed(3), rate(ms.loss, 1), ms.gradients.toFixed(3), rate(ms.gradients, 3)];
    console.log(
      [`batch ${n}: loss, with gradients`.padEnd(54), ...cells].map((cell, i) => cell.padStart(i ? 15 : 0)).join(''),
    );
  }
}
if ('adapters'.includes(only)) {
  useKernelBackend('simd');
  console.log('\nadapters: one call of contrastive, against trace, contrastive with all gradients, and backward');
  console.log([''.padEnd(54), 'composed ms', 'one call ms', 'ratio'].map(pad).join(' '));
  for (const n of [64, 256, 1024]) {
    for (const rank of [8, 64]) {
      const [anchors, positives] = [rows(n, DIM), rows(n, DIM)];
      const [query, answer] = [1, 2].map(() => LoRAAdapter.from(numberAdapter(DIM, rank)));
      const adapters = new Map(Object.entries({ query, answer }));
      for (const through of [{ anchors: 'query' }, { anchors: 'query', positives: 'answer' }]) {
        const composed = () => {
          const ofQueries = query.trace(anchors);
          const ofAnswers = through.positives ? answer.trace(positives) : { output: positives, backward: () => ({}) };
          const options = { gradients: true };
          const loss = LossComputer.contrastive(ofQueries.output, ofAnswers.output, null, options);
          return [ofQueries.backward(loss.gradients).gradA, ofAnswers.backward(loss.targetGradients).gradA];
        };
        const oneCall = () => {
          const options = { adapters, through, gradients: true };
          const { adapterGradients } = LossComputer.contrastive(anchors, positives, null, options);
          return [adapterGradients.get('query').gradA, adapterGradients.get('answer')?.gradA];
        };
        const name = `adapters: ${Object.keys(through).length}, rank ${rank}, batch ${n}`;
        expectEqual(name, oneCall()[0], composed()[0]);
        const ms = measure({ composed, oneCall });
        const cells = [ms.composed.toFixed(3), ms.oneCall.toFixed(3), `×${(ms.composed / ms.oneCall).toFixed(2)}`];
        console.log([name.padEnd(54), ...cells].map(pad).join(' '));
      }
    }
  }
}
if ('loader'.includes(only)) {
  const count = 1_000_000;
  const embeddings = rows(1000, 2);
  const examples = Array.from({ length: count }, (_, i) => ({
    input: `question ${i}`,
    // Half of the answers belong to two questions.
    output: `answer ${i % 3 === 0 ? i + 1 : i}`,
    inputEmb: embeddings[i % 1000],
    outputEmb: embeddings[(i + 1) % 1000],
  }));
  console.log('\nloader: a million rows in batches of 64, seeded');
  for (const [name, options] of [
    ['shuffle', {}],
    ['shuffle, noDuplicates', { noDuplicates: true }],
  ]) {
    const before = bytesInUse();
    const start = performance.now();
    const generator = new BatchGenerator(examples, { batchSize: 64, seed: 1, ...options });
    const made = performance.now();
    const bytes = bytesInUse() - before;
    const drained = performance.now();
    let batches = 0;
    for (const batch of generator) batches += batch.size > 0 ? 1 : 0;
    const ended = performance.now();
    generator.reset();
    const again = performance.now() - ended;
    const times = [made - start, again, ended - drained].map(ms => `${(ms / 1000).toFixed(2)} s`);
    console.log(
      `${name}: made in ${times[0]}, next epoch in ${times[1]}, ${batches} batches read in ${times[2]}, holds ${mebibytes(bytes)}`,
    );
  }
}
if ('noDuplicates'.includes(only)) {
  const count = 1_000_000;
  const embeddings = rows(1000, 2);
  const random = Array.from({ length: 2 * count }, () => Math.random());
  const uniform = labels => at => Math.floor(random[at] * labels);
  const zipf = labels => {
    const sums = [];
    for (let i = 0, sum = 0; i < labels; i++) sums.push((sum += 1 / (i + 1)));
    return at => {
      let [low, high] = [0, labels - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sums[middle] > random[at] * sums[labels - 1]) high = middle;
        else low = middle + 1;
      }
      return low;
    };
  };
  const distinct = at => at;
  console.log('\nnoDuplicates: a million rows in batches of 64, seeded, by distribution of labels; the goal is 2 s');
  for (const [name, input, output] of [
    ['all distinct', distinct, distinct],
    ['outputs: two, 70:30', distinct, at => (random[at] < 0.7 ? 0 : 1)],
    ['outputs: five', distinct, uniform(5)],
    ['outputs: twenty, Zipf', distinct, zipf(20)],
    ['outputs: a thousand, Zipf', distinct, zipf(1000)],
    ['outputs: five, sorted', distinct, at => Math.floor((5 * (at % count)) / count)],
    ['both sides: half a million each', uniform(500_000), uniform(500_000)],
    ['both sides: a thousand each, Zipf', zipf(1000), zipf(1000)],
    ['both sides: twenty each, Zipf', zipf(20), zipf(20)],
    ['both sides: a hundred each', uniform(100), uniform(100)],
    ['both sides: two each, 60:40 and 70:30', at => (random[at] < 0.6 ? 0 : 1), at => (random[at] < 0.7 ? 0 : 1)],
  ]) {
    const examples = Array.from({ length: count }, (_, i) => ({
      input: `question ${input(i)}`,
      output: `answer ${output(count + i)}`,
      inputEmb: embeddings[i % 1000],
      outputEmb: embeddings[(i + 1) % 1000],
    }));
    collectGarbage();
    const start = performance.now();
    const generator = new BatchGenerator(examples, { batchSize: 64, seed: 1, noDuplicates: true });
    const made = performance.now();
    generator.reset();
    const times = [made - start, performance.now() - made].map(ms => `${(ms / 1000).toFixed(2)} s`);
    console.log(`${name.padEnd(48)} made in ${times[0]}, next epoch in ${times[1]}, ${generator.length} batches`);
  }
}
if ('memory'.includes(only)) {
  useKernelBackend('simd');
  releaseKernelMemory();
  const [anchors, positives] = [rows(8192, DIM), rows(8192, DIM)];
  const before = bytesInUse();
  const { gradients, targetGradients } = LossComputer.contrastive(anchors, positives, null, { gradients: true });
  const results = 4 * DIM * (gradients.length + targetGradients.length);
  console.log(
    `\nmemory: contrastive 8192 × 384 with gradients takes ${mebibytes(bytesInUse() - before - results)} beside inputs and results`,
  );

  const batch = [rows(64, DIM), rows(64, DIM)];
  const adapter = LoRAAdapter.from(numberAdapter(DIM, 8));
  const step = () => {
    const { output, backward } = adapter.trace(batch[0]);
    return backward(LossComputer.contrastive(output, batch[1], null, { gradients: true }).gradients);
  };
  for (let i = 0; i < 100; i++) step();
  const warm = bytesInUse();
  for (let i = 0; i < 1500; i++) step();
  console.log(`memory: 1,500 training steps after warm-up grow it by ${mebibytes(bytesInUse() - warm)}`);
}
// Runs only by its whole name, because it takes a quarter of a minute and half a gigabyte.
if (only === 'search-memory') {
  useKernelBackend('simd');
  const [queries, candidates] = [rows(10_000, DIM), rows(100_000, DIM)];
  const start = performance.now();
  const retriever = new Retriever(candidates);
  const packed = performance.now();
  collectGarbage();
  const { result, peak } = await peakWhile(() => retriever.search(queries, 10));
  const seconds = [packed - start, performance.now() - packed].map(ms => `${(ms / 1000).toFixed(2)} s`);
  console.log(
    `\nsearch, best 10, 10,000 queries, 100,000 candidates: packed in ${seconds[0]}, searched in ${seconds[1]}; ` +
      `peak of ${mebibytes(peak)} of resident memory beside candidates and queries, with ${result.indices.length} results`,
  );
}
if ('checkpointing'.includes(only)) {
  useKernelBackend('simd');
  const [dim, count] = [128, 64];
  const inputs = rows(count, dim);
  const stateBytes = 4 * dim * count;
  console.log(
    `\ncheckpointing: a chain of n LoRA layers (dim ${dim}, rank 4, ${count} rows), forward and backward\n${[
      'n, strategy'.padEnd(54),
      'peak bytes',
      'forwards',
      'ms',
      'time',
    ]
      .map(pad)
      .join('')}`,
  );
  for (const n of [10, 30, 100, 300, 1000]) {
    const root = Math.round(Math.sqrt(n));
    const slots = Math.ceil(Math.log2(n));
    const layers = Array.from({ length: n }, (_, seed) => new LoRAAdapter({ dim, seed }));
    const steps = layers.map(layer => layer.asStep());
    // Every second layer costs twice as much, so the plan differs from the binomial one.
    const uneven = steps.map((step, i) => ({ ...step, cost: 1 + (i % 2) }));
    const strategies = {
      'store-all': { strategy: 'store-all' },
      [`segments, ${root}`]: { strategy: 'segments', checkpointSegments: root },
      [`binomial, ${slots} slots`]: { strategy: 'binomial', slots },
      [`budget of ${slots + 1} states`]: { strategy: 'budget', memoryBudget: (slots + 1) * stateBytes },
    };
    const variants = Object.entries(strategies).map(([name, options]) => {
      const checkpointer = new GradientCheckpointer(options);
      return [name, () => checkpointer.chain(steps, inputs).backward(inputs).stats];
    });
    if (n <= 100) {
      const checkpointer = new GradientCheckpointer(strategies[`budget of ${slots + 1} states`]);
      variants.push([
        'the same budget, costs 1 and 2',
        () => checkpointer.chain(uneven, inputs).backward(inputs).stats,
      ]);
    }
    const ms = measure(Object.fromEntries(variants));
    for (const [name, run] of variants) {
      const { peakBytes, forwardCalls } = run();
      const cells = [
        mebibytes(peakBytes),
        forwardCalls,
        ms[name].toFixed(1),
        `×${(ms[name] / ms['store-all']).toFixed(2)}`,
      ];
      console.log([`${n}, ${name}`.padEnd(54), ...cells.map(String)].map(pad).join(''));
    }
  }
}

if ('streaming'.includes(only)) {
  console.log(
    '\nstreaming: 200,000 examples of 384 floats, 16 MiB of cache: peak of added heap and buffers, and rows per second',
  );
  const embedder = async texts => texts.map(text => new Float32Array(DIM).fill(text.length));
  for (const [name, options] of Object.entries({
    "embedder: 'hash'": {},
    'embedder: a function': { embedder },
    deduplicate: { deduplicate: true },
  })) {
    const preprocessor = new DataPreprocessor({ ...options, cacheBytes: 16 * 2 ** 20 });
    // A first short run lets buffers of earlier rows be freed before the measurement.
    for await (const _ of new DataPreprocessor(options).stream(manyExamples(2000)));
    const before = bytesInUse();
    const start = performance.now();
    let [read, live, withGarbage] = [0, 0, 0];
    for await (const _ of preprocessor.stream(manyExamples(200_000))) {
      if (++read % 1000 === 0) {
        const { heapUsed, external } = process.memoryUsage();
        withGarbage = Math.max(withGarbage, heapUsed + external - before);
      }
      if (read % 20_000 === 0) live = Math.max(live, bytesInUse() - before);
    }
    const rate = `${Math.round((1000 * read) / (performance.now() - start)).toLocaleString('en')} rows/s`;
    console.log(
      [name.padEnd(30), `${mebibytes(live)} in use`, `${mebibytes(withGarbage)} with garbage`, rate].join('  '),
    );
  }
}

function* manyExamples(count) {
  const words = ['find', 'the', 'file', 'that', 'holds', 'a', 'word', 'and', 'list', 'its', 'lines'];
  const text = i => Array.from({ length: 12 }, (_, k) => words[(i * (k + 7)) % words.length]).join(' ');
  for (let i = 0; i < count; i++) yield { input: `${text(i)} ${i}`, output: `${i} ${text(i + 5)}` };
}

if ('embed'.includes(only)) await runEmbedding();

if ('step'.includes(only)) runStep();
if ('job'.includes(only)) runJob();

if ('threads'.includes(only)) runThreads();

if ('distributed'.includes(only)) await runDistributed();

if ('safetensors'.includes(only)) runSafetensors();

if ('checkpoint'.includes(only)) runCheckpoint();

if ('continual'.includes(only)) {
  useKernelBackend('simd');
  runContinual();
}

/** Bytes of heap and buffers after a collection. */
function bytesInUse() {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Prints one row of work that does not use kernels. */
async function compareAsync(name, { plain: reference, library }, before) {
  if (!name.includes(only)) return;
  for (const each of ['plain', 'library']) await before(each);
  expectEqual(name, await library(), await reference());
  const ms = await measureAsync({ plain: reference, library }, before);
  const cells = [ms.plain.toFixed(2), '', ms.library.toFixed(2), '', `×${(ms.plain / ms.library).toFixed(1)}`];
  console.log([name.padEnd(54), ...cells].map(pad).join(''));
}

/** Prints one row: checks that both backends give the results of the plain loops, then times all three in turns. */
function compare(name, { plain: reference, library }) {
  if (!name.includes(only)) return;
  const onBackend = backend => () => {
    useKernelBackend(backend);
    return library();
  };
  const expected = reference();
  for (const backend of ['scalar', 'simd']) expectEqual(`${name}, ${backend}`, onBackend(backend)(), expected);
  const ms = measure({ plain: reference, scalar: onBackend('scalar'), simd: onBackend('simd') });
  const times = [ms.plain, ms.scalar, ms.simd].map(value => value.toFixed(value < 1 ? 4 : 2));
  const ratios = [ms.scalar, ms.simd].map(value => `×${(ms.plain / value).toFixed(1)}`);
  console.log([name.padEnd(54), ...times, ...ratios].map(pad).join(''));
  releaseKernelMemory();
}

function expectEqual(name, actual, expected, tolerance = 1e-4) {
  const numbers = value =>
    typeof value === 'number'
      ? [value]
      : Array.from(value ?? [], row => (typeof row === 'number' ? row : Array.from(row))).flat();
  const [a, e] = [numbers(actual), numbers(expected)];
  const largest = e.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-30);
  const isEqual = a.length === e.length && a.every((value, i) => Math.abs(value - e[i]) <= tolerance * largest);
  if (!isEqual) throw new Error(`${name}: the results differ`);
}

function pad(text, column) {
  return column === 0 ? text : text.padStart(11);
}

function rows(count, width) {
  return Array.from({ length: count }, () => Float32Array.from({ length: width }, () => Math.random() - 0.5));
}

function numberAdapter(dim, rank) {
  const matrix = (height, width) => rows(height, width).map(row => Array.from(row));
  return { loraA: matrix(dim, rank), loraB: matrix(rank, dim), scaling: 2 };
}

function nested({ fisherInfo, optimalParams }) {
  return { fisherInfo: new Map(Object.entries(fisherInfo)), optimalParams: new Map(Object.entries(optimalParams)) };
}
