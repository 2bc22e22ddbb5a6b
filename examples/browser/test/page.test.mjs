// `node page.test.mjs`: presses the buttons of the built page in Chromium. Screenshots go to a folder that is printed.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { splitPairs } from 'microlora-training-utils';
import { chromium } from 'playwright-core';
import { preview } from 'vite';
import { compare } from '../../api-search/held-out.mjs';
import { lookupOf, newAdapters, prepare, RANK, train } from '../../api-search/recipe.mjs';

const EPOCHS = 3;
const SEED = 1;
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
if (!executablePath) {
  console.log('skipped: Chromium is not installed');
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), 'browser-example-'));
const root = fileURLToPath(new URL('..', import.meta.url));
const server = await preview({ root, logLevel: 'error', preview: { port: 0, host: '127.0.0.1' } });
const origin = server.resolvedUrls.local[0];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-background-networking'] });
const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, acceptDownloads: true });
const page = await context.newPage();
const problems = [];
page.on('pageerror', error => problems.push(String(error)));
page.on('console', message => {
  if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
});
page.on('request', request => {
  if (!request.url().startsWith(origin) && !/^(?:blob|data):/.test(request.url()))
    problems.push(`request ${request.url()}`);
});
await page.goto(origin);

const waitForText = (id, part) =>
  page.waitForFunction(([id, part]) => document.getElementById(id).textContent.includes(part), [id, part], {
    timeout: 120_000,
  });
const row = async name =>
  await page.$$eval(`[data-name="${name}"] td`, cells => cells.map(cell => cell.firstChild.textContent));
const upload = (id, name, content) =>
  page.setInputFiles(`#${id}`, { name, mimeType: 'text/plain', buffer: Buffer.from(content) });

// What is wrong is said in a sentence.
const pairs = await page.inputValue('#pairs');
await page.fill('#pairs', `${pairs.split('\n')[0]}\n{"input": "no output"`);
await page.click('#train');
await waitForText('error', 'line 2');
await page.fill('#pairs', pairs.split('\n')[0]);
await page.click('#train');
await waitForText('error', 'There is 1 pair. At least 30 are needed.');
await upload('file', 'bad.jsonl', '{"input": "a"}\n');
await waitForText('error', 'bad.jsonl: Pair 1 has no text in "output".');
await page.fill('#epochs', '0');
await page.click('#train');
await waitForText('error', 'Epochs must be a whole number from 1 to 100.');

// It trains as Node does, and the page stays fluent.
await upload('file', 'pairs.jsonl', pairs);
await waitForText('pairs-state', `${pairs.split('\n').length} pairs from pairs.jsonl`);
await page.fill('#epochs', String(EPOCHS));
await page.evaluate(() => {
  globalThis.frames = [];
  let last = performance.now();
  const frame = now => {
    globalThis.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
});
await page.click('#train');
await waitForText('status', 'Done.');
const frames = (await page.evaluate(() => globalThis.frames.slice(2))).sort((a, b) => a - b);
const at = share => frames[Math.floor(share * frames.length)].toFixed(1);
console.log(`frames while it trained: ${frames.length}, median ${at(0.5)} ms, 99th percentile ${at(0.99)} ms`);
assert.ok(Number(at(0.5)) < 34);

const parsed = pairs.split('\n').map(line => JSON.parse(line));
const { train: known, test } = splitPairs(parsed, { validation: 0, test: 0.2, by: 'input', seed: SEED });
const task = await prepare(known, { seed: SEED });
const adapters = newAdapters(task.embedder.dim, { rank: RANK, seed: SEED });
train(adapters, task, { epochs: EPOCHS, seed: SEED }, () => {});
const { result } = compare({ pairs: test, ...lookupOf(task.embedder, test, parsed) }, adapters);
const cells = ({ recallAt1, recallAt10, mrr }) => [
  `${(100 * recallAt1).toFixed(1)} %`,
  `${(100 * recallAt10).toFixed(1)} %`,
  mrr.toFixed(3),
];
for (const name of ['textIndex', 'untrained', 'trained']) assert.deepEqual(await row(name), cells(result[name]), name);
assert.ok(result.trained.mrr > result.untrained.mrr);
console.log(
  'recall@1, recall@10, MRR:',
  JSON.stringify({
    textIndex: await row('textIndex'),
    untrained: await row('untrained'),
    trained: await row('trained'),
  }),
);
assert.match(await page.getAttribute('#loss', 'aria-label'), /Loss by step. It is \d\.\d{3} at step \d+\./);

// It searches while one types.
await page.fill('#query', test[0].input);
await page.waitForFunction(
  () => document.querySelectorAll('#before li').length === 5 && document.querySelectorAll('#after li').length === 5,
);

// The saved adapters, loaded, give the same result.
const saved = {};
for (const kind of ['safetensors', 'json']) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(`#save-${kind}`)]);
  saved[kind] = readFileSync(await download.path());
}
const trained = await row('trained');
for (const kind of ['safetensors', 'json']) {
  await page.$$eval('[data-name="trained"] td', all =>
    all.forEach(cell => {
      cell.textContent = '?';
    }),
  );
  await page.setInputFiles('#adapter', {
    name: `adapter.${kind}`,
    mimeType: 'application/octet-stream',
    buffer: saved[kind],
  });
  await page.waitForFunction(() => document.querySelector('[data-name="trained"] td').textContent !== '?');
  assert.deepEqual(await row('trained'), trained, kind);
}
await upload('adapter', 'other.json', JSON.stringify({ query: { loraA: [[1], [1]], loraB: [[1, 1]], scaling: 1 } }));
await waitForText('adapter-state', 'The adapter "query" has 2 dimensions. The embeddings have 1024.');
await upload('adapter', 'other.safetensors', 'no safetensors');
await waitForText('adapter-state', 'The adapter was not loaded. LoRAAdapter.fromSafetensors: ');

// Stop stops at once, and keeps the best adapters.
await page.fill('#epochs', '100');
await page.click('#train');
await page.waitForFunction(() => /Epoch [2-9]/.test(document.getElementById('status').textContent), undefined, {
  timeout: 120_000,
});
const started = Date.now();
await page.click('#stop');
await waitForText('status', 'Stopped.');
const stoppedIn = Date.now() - started;
console.log(`stopped in ${stoppedIn} ms`);
assert.ok(stoppedIn < 2000);
await page.waitForFunction(() => /%/.test(document.querySelector('[data-name="trained"] td').textContent));
await page.waitForFunction(() => document.querySelectorAll('#after li').length === 5);

for (const [width, colorScheme] of [
  [1200, 'light'],
  [1200, 'dark'],
  [360, 'light'],
  [360, 'dark'],
]) {
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme });
  await page.waitForTimeout(300);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide at ${width}`);
  writeFileSync(join(folder, `${width}-${colorScheme}.png`), await page.screenshot({ fullPage: true }));
}

// Accessibility. The page's policy keeps axe out, so that it runs in a context without the policy.
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
for (const colorScheme of ['light', 'dark']) {
  const bare = await browser.newContext({ bypassCSP: true, colorScheme });
  const other = await bare.newPage();
  await other.goto(origin);
  await other.addScriptTag({ content: axe });
  const { violations, passes } = await other.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`);
  assert.deepEqual(found, [], colorScheme);
  console.log(`axe, ${colorScheme}: ${passes.length} rules passed`);
}
assert.deepEqual(problems, []);
console.log(`screenshots: ${folder}`);
await browser.close();
await server.close();
