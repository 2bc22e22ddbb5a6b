import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const EXAMPLE = fileURLToPath(new URL('..', import.meta.url));
const HOW_LONG = 'How long can I keep a drill?';
const A_WEEK = 'A loan lasts seven days, counted from the day after you pick the tool up.';

let folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sentence-model-'));
});
after(() => rm(folder, { recursive: true }));

/** A script of the example in a separate process. */
function start(script, ...args) {
  const child = spawn(process.execPath, [join(EXAMPLE, script), ...args], { cwd: folder });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', chunk => {
      output[name] += chunk;
    });
  }
  const closed = once(child, 'close').then(([code, signal]) => ({ code, signal, ...output }));
  return { child, closed };
}

const run = (script, ...args) => start(script, ...args).closed;

describe('train.mjs and serve.mjs', () => {
  const args = ['--cache', 'cache/embeddings', '--save', 'model'];
  let training;
  let server;
  let origin;

  before(async () => {
    training = await run('train.mjs', ...args);
    assert.equal(training.code, 0, training.stderr);
    server = start('serve.mjs', '--model', 'model', '--port', '0');
    const [line] = await Promise.race([
      once(server.child.stdout, 'data'),
      server.closed.then(({ stderr }) => assert.fail(`serve.mjs ended: ${stderr}`)),
    ]);
    [origin] = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
  });
  after(() => server?.child.kill('SIGKILL'));

  const get = async (path, options) => {
    const response = await fetch(`${origin}${path}`, options);
    return { status: response.status, headers: response.headers, body: await response.json() };
  };

  test('the table shows the text index, the model untrained and trained', () => {
    assert.equal(training.stderr, '');
    const cells = / (\d+\.\d) % \[(\d+\.\d), (\d+\.\d)\]/g;
    const rows = ['text index (MiniSearch)', 'model, untrained', 'model, trained'].map(name => {
      const line = training.stdout.split('\n').find(each => each.trimStart().startsWith(name));
      return Array.from(line.matchAll(cells), ([, ...numbers]) => numbers.map(Number));
    });
    for (const row of rows) {
      assert.equal(row.length, 2); // recall@1 and recall@10
      for (const [recall, low, high] of row) assert.ok(low < recall && recall < high);
      assert.ok(row[0][0] <= row[1][0]);
    }
    const [index, untrained, trained] = rows.map(([[recallAt1]]) => recallAt1);
    assert.ok(index < untrained && untrained < trained, training.stdout);
    for (const line of training.stdout.split('\n')) assert.ok(line.length <= 80 || line.startsWith('Saved'), line);
  });

  test('a second run takes all embeddings from the cache, and gives the same numbers', async () => {
    const files = ['adapters.safetensors', 'answers.json', 'answers.embeddings'].map(name =>
      join(folder, 'model', name),
    );
    const saved = await Promise.all(files.map(file => readFile(file)));
    const again = await run('train.mjs', ...args);
    assert.match(training.stdout, /texts embedded in .* s, [1-9]\d* of them by the model/);
    assert.match(again.stdout, /texts embedded in .* s, 0 of them by the model/);
    const withoutFirstLine = text => text.slice(text.indexOf('\n'));
    assert.equal(withoutFirstLine(again.stdout), withoutFirstLine(training.stdout));
    assert.deepEqual(await Promise.all(files.map(file => readFile(file))), saved);
  });

  test('answers come best first with their scores, and three of them without k', async () => {
    const { status, headers, body } = await get(`/search?q=${encodeURIComponent(HOW_LONG)}`);
    assert.equal(status, 200);
    assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
    assert.equal(body.query, HOW_LONG);
    assert.equal(body.answers.length, 3);
    assert.equal(body.answers[0].answer, A_WEEK);
    const scores = body.answers.map(({ score }) => score);
    assert.deepEqual(
      scores,
      [...scores].sort((a, b) => b - a),
    );
    assert.ok(scores[0] <= 1 && scores[2] >= -1);
  });

  test('questions of the training data find their answers in parallel requests', async () => {
    const lines = (await readFile(join(EXAMPLE, 'faq.jsonl'), 'utf8')).trim().split('\n');
    const pairs = lines.map(line => JSON.parse(line)).filter((_, i) => i % 7 === 0);
    const found = await Promise.all(pairs.map(({ input }) => get(`/search?k=1&q=${encodeURIComponent(input)}`)));
    const right = found.filter(
      ({ body }, i) => body.answers.length === 1 && body.answers[0].answer === pairs[i].output,
    );
    assert.ok(right.length >= 0.8 * pairs.length, `${right.length} of ${pairs.length}`);
  });

  test('k may exceed the number of answers', async () => {
    const { body } = await get('/search?q=tram&k=100');
    const answers = new Set(body.answers.map(({ answer }) => answer));
    assert.equal(answers.size, body.answers.length);
    assert.equal(answers.size, JSON.parse(await readFile(join(folder, 'model/answers.json'), 'utf8')).answers.length);
  });

  test('any text is a query', async () => {
    for (const query of ['😀', '\u200b', '日本語', '%', 'a'.repeat(1000), '\u0000', '<script>']) {
      const { status, body } = await get(`/search?q=${encodeURIComponent(query)}`);
      assert.equal(status, 200, query);
      assert.equal(body.answers.length, 3);
    }
    assert.equal((await get('/search?q=%ff%')).status, 200); // Not UTF-8.
  });

  for (const [path, sentence] of [
    ['/search', /q is missing/],
    ['/search?q=', /q is missing or empty/],
    ['/search?q=%20%20', /q is missing or empty/],
    [`/search?q=${'a'.repeat(1001)}`, /1001 characters, and 1000 is the most/],
    ['/search?q=a&k=0', /k must be a whole number from 1 to 100, not "0"/],
    ['/search?q=a&k=101', /not "101"/],
    ['/search?q=a&k=', /not ""/],
    ['/search?q=a&k=1e1', /not "1e1"/],
    ['/search?q=a&k=-1', /not "-1"/],
    ['/search?q=a&q=b', /q is given more than once/],
    ['/search?q=a&limit=3', /There is no parameter "limit"/],
  ]) {
    test(`${path.slice(0, 30)} gets 400 and a sentence`, async () => {
      const { status, body } = await get(path);
      assert.equal(status, 400);
      assert.match(body.error, sentence);
      assert.match(body.error, /^.*\.$/);
    });
  }

  test('other paths get 404, other methods 405, and an invalid address 400', async () => {
    assert.equal((await get('/')).status, 404);
    assert.equal((await get('/searching?q=a')).status, 404);
    const { status, headers, body } = await get('/search?q=a', { method: 'POST', body: 'q=b' });
    assert.equal(status, 405);
    assert.equal(headers.get('allow'), 'GET, HEAD');
    assert.match(body.error, /not POST/);
    assert.match(await raw(origin, 'GET // HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 400 /);
  });

  test('a port in use is reported in a sentence', async () => {
    const { code, stderr } = await run('serve.mjs', '--model', 'model', '--port', new URL(origin).port);
    assert.equal(code, 1);
    assert.match(stderr, /^serve: port \d+ is in use; --port 0 takes a free one\n$/);
  });

  test('Ctrl-C ends the server cleanly while a connection is open', async () => {
    const { hostname, port } = new URL(origin);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    server.child.kill('SIGINT');
    const { code, signal, stderr } = await server.closed;
    socket.destroy();
    assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
  });

  test('a model of mixed runs, a model of another encoder, and a missing model are refused', async () => {
    const file = join(folder, 'model', 'answers.json');
    const description = JSON.parse(await readFile(file, 'utf8'));
    const refusals = [
      [{ ...description, adapters: '0'.repeat(64) }, /holds files of different runs; train again/],
      [{ ...description, encoder: 'other@1' }, /was trained on other@1, and @energetic-ai.* is installed; train again/],
    ];
    for (const [changed, sentence] of refusals) {
      await writeFile(file, JSON.stringify(changed));
      const { code, stderr } = await run('serve.mjs', '--model', 'model', '--port', '0');
      assert.equal(code, 1);
      assert.match(stderr, sentence);
    }
    await writeFile(file, '{');
    assert.match(
      (await run('serve.mjs', '--model', 'model')).stderr,
      /^serve: cannot read the model in "model": .*\n$/,
    );
    await rm(file);
    assert.match((await run('serve.mjs', '--model', 'model')).stderr, /^serve: there is no trained model in "model"/);
  });
});

describe('mistakes are one line on standard error', () => {
  const few = '{"input": "a", "output": "b"}\n';
  for (const [script, args, content, code, sentence] of [
    ['train.mjs', ['--data', 'none.jsonl'], undefined, 1, /cannot read "none.jsonl": there is no such file/],
    [
      'train.mjs',
      ['--data', 'bad.jsonl'],
      '{"input": 1, "output": "b"}',
      1,
      /record 1 of "bad.jsonl" needs .* "input"/,
    ],
    ['train.mjs', ['--data', 'bad.jsonl'], 'no JSON', 1, /line 1/],
    ['train.mjs', ['--data', 'bad.jsonl'], '', 1, /holds no pairs/],
    ['train.mjs', ['--data', 'bad.jsonl', '--cache', 'few'], few, 1, /too few/],
    ['train.mjs', ['--save', 'bad.jsonl'], '', 1, /EEXIST.*bad.jsonl/],
    ['train.mjs', ['--epochs', '0'], undefined, 2, /--epochs must be a whole number from 1 to 10000, not "0"/],
    ['train.mjs', ['--what'], undefined, 2, /Unknown option '--what'.*--help/],
    ['serve.mjs', ['--port', '65536'], undefined, 2, /--port must be a whole number from 0 to 65535/],
    ['serve.mjs', ['--port', 'http'], undefined, 2, /not "http"/],
  ]) {
    test(`${script} ${args.join(' ')}${content === undefined ? '' : ` with ${JSON.stringify(content)}`}`, async () => {
      if (content !== undefined) await writeFile(join(folder, 'bad.jsonl'), content);
      const result = await run(script, ...args);
      assert.equal(result.code, code);
      assert.match(result.stderr, sentence);
      assert.match(result.stderr, /^(train|serve): .*\n$/);
    });
  }
});

/** The server's response to bytes that `fetch` would not send. */
async function raw(origin, request) {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  socket.end(request);
  let text = '';
  for await (const chunk of socket) text += chunk;
  return text;
}
