import firstPairs from 'virtual:first-pairs';
import { lineChart } from './chart.js';
import { readPairs } from './pairs.js';

const LARGEST_FILE = 50 * 2 ** 20;
/** Characters of a file that the text area shows. More would slow down the page. */
const MOST_SHOWN = 500_000;

const element = id => document.getElementById(id);
const percent = value => `${(100 * value).toFixed(1)} %`;

const charts = {
  loss: lineChart(element('loss'), {
    describe: ([step, loss]) => `Loss by step. It is ${loss.toFixed(3)} at step ${step}.`,
  }),
  recall: lineChart(element('recall'), {
    max: 1,
    describe: ([epoch, recall]) => `Recall at 1 by epoch. It is ${percent(recall)} after epoch ${epoch}.`,
  }),
};

/** The pairs of a file that is not in the text area as a whole. */
let filePairs;
let worker;
/** The pairs and the seed that the worker has prepared. */
let prepared;
/** The best adapters so far, as the bytes of a safetensors file. */
let saved;
let searches = 0;

element('pairs').value = firstPairs;
element('train').addEventListener('click', start);
element('stop').addEventListener('click', stop);
element('query').addEventListener('input', search);
element('pairs').addEventListener('input', () => {
  filePairs = undefined;
  countPairs();
});
element('file').addEventListener('change', event => openPairs(event.target.files[0]));
element('adapter').addEventListener('change', event => openAdapter(event.target.files[0]));
element('save-safetensors').addEventListener('click', () =>
  download(saved, 'adapter.safetensors', 'application/octet-stream'),
);
element('save-json').addEventListener('click', () => worker.postMessage({ type: 'toJson' }));
element('pairs').addEventListener('dragover', event => event.preventDefault());
element('pairs').addEventListener('drop', event => {
  const [file] = event.dataTransfer.files;
  if (!file) return;
  event.preventDefault();
  openPairs(file);
});
countPairs();

async function start() {
  fail('');
  show('adapter-state', '');
  const epochs = element('epochs').valueAsNumber;
  const seed = element('seed').valueAsNumber;
  if (!Number.isInteger(epochs) || epochs < 1 || epochs > 100)
    return fail('Epochs must be a whole number from 1 to 100.');
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    return fail('The seed must be a whole number from 0 to 4294967295.');
  let pairs;
  try {
    pairs = filePairs ?? (await readPairs(element('pairs').value));
  } catch (error) {
    return fail(error.message);
  }
  for (const chart of Object.values(charts)) chart.clear();
  saved = undefined;
  setTraining(true);
  show('status', 'Embedding the texts …');
  prepared = { pairs, seed };
  restart();
  worker.postMessage({ type: 'train', epochs });
}

/** A new worker with the pairs. The old one stops at once. */
function restart() {
  worker?.terminate();
  worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  worker.onmessage = ({ data }) => events[data.type](data);
  worker.onerror = event => events.failed({ message: event.message });
  worker.postMessage({ type: 'prepare', ...prepared });
}

function stop() {
  setTraining(false);
  restart();
  if (saved) worker.postMessage({ type: 'load', safetensors: saved });
  show('status', 'Stopped. The adapter is that of the best epoch so far.');
}

const events = {
  prepared({ counts, textIndex, untrained, kernels }) {
    row('textIndex', textIndex);
    row('untrained', untrained);
    element('query').disabled = false;
    element('query').placeholder = 'Type a query';
    const { training, validation, heldOut } = counts;
    if (isTraining())
      show(
        'status',
        `${training} pairs to train on, ${validation} to validate, ${heldOut} held out. Kernels: ${kernels}.`,
      );
  },
  progress({ epoch, step, total, loss, recall, saved: bytes }) {
    if (bytes) saved = bytes;
    element('progress').value = step / total;
    if (loss !== undefined) charts.loss.add(step, loss);
    if (recall !== undefined) {
      charts.recall.add(epoch, recall);
      if (epoch > 0) show('status', `Epoch ${epoch}: recall@1 of the validation queries is ${percent(recall)}.`);
    }
  },
  trained(result) {
    saved = result.saved;
    setTraining(false);
    element('progress').value = 1;
    show('status', 'Done. The adapter is that of the best epoch.');
    events.loaded(result);
  },
  loaded({ trained }) {
    row('trained', trained);
    for (const id of ['save-safetensors', 'save-json']) element(id).disabled = false;
    search();
  },
  json({ json }) {
    download(json, 'adapter.json', 'application/json');
  },
  found({ id, before, after }) {
    if (id !== searches) return;
    list('before', before);
    list('after', after);
  },
  failed({ during, message }) {
    setTraining(false);
    if (during === 'load') show('adapter-state', `The adapter was not loaded. ${message}`);
    else fail(message);
  },
};

async function openPairs(file) {
  if (!file) return;
  fail('');
  if (file.size > LARGEST_FILE)
    return fail(`${file.name} has ${Math.ceil(file.size / 2 ** 20)} MiB. At most 50 MiB are read.`);
  try {
    filePairs = await readPairs(file);
  } catch (error) {
    return fail(`${file.name}: ${error.message}`);
  }
  const text = filePairs.map(pair => JSON.stringify(pair)).join('\n');
  element('pairs').value = text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)} …` : text;
  show('pairs-state', `${filePairs.length} pairs from ${file.name}`);
}

async function openAdapter(file) {
  if (!file) return;
  element('adapter').value = '';
  show('adapter-state', '');
  if (file.size > LARGEST_FILE)
    return show('adapter-state', 'The adapter was not loaded. The file is larger than 50 MiB.');
  try {
    prepared ??= { pairs: filePairs ?? (await readPairs(element('pairs').value)), seed: element('seed').valueAsNumber };
  } catch (error) {
    return fail(error.message);
  }
  if (!worker) restart();
  const bytes = new Uint8Array(await file.arrayBuffer());
  const isJson = bytes[0] === '{'.charCodeAt(0);
  if (!isJson) saved = bytes;
  worker.postMessage({
    type: 'load',
    ...(isJson ? { json: new TextDecoder().decode(bytes) } : { safetensors: bytes }),
  });
}

function search() {
  const query = element('query').value.trim();
  searches++;
  if (query === '' || isTraining() || !worker) {
    list('before', []);
    list('after', []);
    return;
  }
  worker.postMessage({ type: 'search', query, id: searches });
}

function countPairs() {
  const lines = element('pairs')
    .value.split('\n')
    .filter(line => line.trim() !== '').length;
  show('pairs-state', `${lines} ${lines === 1 ? 'line' : 'lines'}`);
}

function row(name, { recallAt1, recallAt10, mrr, intervals }) {
  const cells = document.querySelectorAll(`[data-name="${name}"] td`);
  const write = (cell, value, [low, high], format) => {
    const interval = document.createElement('small');
    interval.textContent = `${format(low)}–${format(high)}`.replace(' %–', '–');
    cell.replaceChildren(format(value), interval);
  };
  write(cells[0], recallAt1, intervals.recallAt1, percent);
  write(cells[1], recallAt10, intervals.recallAt10, percent);
  write(cells[2], mrr, intervals.mrr, value => value.toFixed(3));
}

function list(id, texts) {
  element(id).replaceChildren(...texts.map(text => Object.assign(document.createElement('li'), { textContent: text })));
}

function download(content, name, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  Object.assign(document.createElement('a'), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function setTraining(isOn) {
  element('train').disabled = isOn;
  element('stop').disabled = !isOn;
}

function isTraining() {
  return element('train').disabled;
}

function show(id, text) {
  element(id).textContent = text;
}

function fail(message) {
  show('error', message);
  if (message) show('status', '');
}
