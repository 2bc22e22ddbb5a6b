import {
  AdamW,
  DataPreprocessor,
  EWCManager,
  LoRAAdapter,
  LossComputer,
  packCheckpoint,
  readJsonl,
  type TrainingExample,
  useKernelModule,
} from 'microlora-training-utils';
import module from 'microlora-training-utils/kernels.wasm';
import { trainingReport } from 'microlora-training-utils/report';

// A program without Node's types: records of a web stream, typed events, bytes instead of files.
useKernelModule(module);
const pairs: TrainingExample[] = [];
for await (const pair of readJsonl<TrainingExample>(new Blob(['{"input":"a","output":"b"}']))) pairs.push(pair);

const preprocessor = new DataPreprocessor({ embeddingDim: 8 });
preprocessor.on('process:complete', ({ total }) => console.log(total.toFixed()));
// @ts-expect-error: the payload has no such field
preprocessor.on('process:complete', ({ rows }) => console.log(rows));
const rows = await preprocessor.process(pairs, { signal: new AbortController().signal });

const adapters = new Map([['query', new LoRAAdapter({ dim: 8 })]]);
const optimizer = new AdamW(adapters);
const anchors = rows.map(({ inputEmb }) => inputEmb);
const { loss, adapterGradients } = LossComputer.contrastive(anchors, anchors, null, {
  adapters,
  through: { anchors: 'query' },
  gradients: true,
});
optimizer.step(adapterGradients);
new EWCManager().once('fisher:start', ({ samples }) => console.log(samples.toFixed())).computeFisher(adapters, rows);
export const saved: Blob = new Blob([packCheckpoint({ optimizer }), trainingReport({ title: 'Page', steps: [loss] })]);
