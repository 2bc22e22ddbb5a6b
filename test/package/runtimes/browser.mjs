// `node browser.mjs <executable> <folder>`: trains in a page by each `<bundler>.mjs` of the folder, and by the first of them
// in a worker and under a strict Content-Security-Policy. Lets threads share a loss. Prints what each returned as JSON.

import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [executablePath, folder] = process.argv.slice(2);
const bundlers = readdirSync(folder)
  .filter(file => file.endsWith('.mjs'))
  .map(file => file.slice(0, -4));

const server = createServer(({ url }, response) => {
  // Memory can be shared only in a page that is cross-origin isolated.
  response.setHeader('cross-origin-opener-policy', 'same-origin');
  response.setHeader('cross-origin-embedder-policy', 'require-corp');
  if (url.endsWith('.mjs')) {
    response.setHeader('content-type', 'text/javascript');
    response.end(readFileSync(join(folder, url)));
    return;
  }
  response.setHeader('content-type', 'text/html');
  if (url.startsWith('/strict')) response.setHeader('content-security-policy', "default-src 'self'");
  response.end('<!doctype html><title>Twenty steps</title>');
});
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const args = ['--no-sandbox', '--disable-background-networking'];
const browser = await chromium.launch({ executablePath, args });

const results = { version: browser.version(), pages: {} };
for (const bundler of bundlers) results.pages[bundler] = await trained('/', bundler);
results.strict = await trained('/strict', bundlers[0]);
results.worker = await inWorker(bundlers[0], 'twentySteps');
results.threads = await inPage(bundlers[0], 'sharedWork');
results.threadsOfWorker = await inWorker(bundlers[0], 'sharedWork');
console.log(JSON.stringify(results));
await browser.close();
server.close();

async function trained(path, bundler) {
  const page = await browser.newPage();
  const logged = [];
  page.on('console', message => logged.push(message.text()));
  page.on('pageerror', error => logged.push(String(error)));
  await page.goto(origin + path);
  const result = await page.evaluate(async url => (await import(url)).twentySteps(), `/${bundler}.mjs`);
  await page.close();
  return { ...result, logged };
}

async function inPage(bundler, name) {
  const page = await browser.newPage();
  await page.goto(`${origin}/`);
  const result = await page.evaluate(async ([url, name]) => (await import(url))[name](), [`/${bundler}.mjs`, name]);
  await page.close();
  return result;
}

async function inWorker(bundler, name) {
  const page = await browser.newPage();
  await page.goto(`${origin}/`);
  const result = await page.evaluate(
    ([url, name]) =>
      new Promise((resolve, reject) => {
        const source = `import(${JSON.stringify(url)}).then(m => m.${name}()).then(postMessage, e => postMessage(String(e)))`;
        const worker = new Worker(URL.createObjectURL(new Blob([source])));
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      }),
    [`${origin}/${bundler}.mjs`, name],
  );
  await page.close();
  return result;
}
