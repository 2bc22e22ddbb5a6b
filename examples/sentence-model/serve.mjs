// Serves the search that train.mjs saved: GET /search?q=how+do+I+join&k=3.
//
//   node serve.mjs
//   node serve.mjs --model model --port 8080

import { once } from 'node:events';
import { inExample, parseOptions, runCommand, UserError, wholeNumber } from './lib/command-line.mjs';
import { loadModel } from './lib/saved-model.mjs';
import { sentenceEncoder } from './lib/sentence-encoder.mjs';
import { searchServer } from './lib/server.mjs';

const HOST = '127.0.0.1';
const LAST_REQUESTS_MS = 1_000;
const DEFAULTS = { model: inExample('model'), port: '8080' };

const HELP = `Serves the search that train.mjs saved, on this machine only.

GET /search?q=how+do+I+join&k=3 answers with the k best answers as JSON.

Usage: node serve.mjs [options]

  --model <folder>  what train.mjs saved (default ${DEFAULTS.model})
  --port <n>        port to listen on; 0 takes a free one (default ${DEFAULTS.port})
  --help            print this text`;

await runCommand('serve', async () => {
  const { help, model, port } = readOptions();
  if (help) return console.log(HELP);

  const { size, search } = await loadModel(model, sentenceEncoder());
  await search('The first query loads the model.', 1);
  const server = searchServer(search);
  await listen(server, port);
  console.log(`${size} answers at http://${HOST}:${server.address().port}/search?q=how+do+I+join&k=3 (Ctrl-C stops)`);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop(server));
});

async function listen(server, port) {
  try {
    server.listen(port, HOST);
    await once(server, 'listening');
  } catch (error) {
    if (error.code === 'EADDRINUSE') throw new UserError(`port ${port} is in use; --port 0 takes a free one`);
    if (error.code === 'EACCES') throw new UserError(`port ${port} is not open to you; --port 0 takes a free one`);
    throw error;
  }
}

/** Stops the server. Open requests have a moment to finish. A second Ctrl-C ends the process at once. */
function stop(server) {
  server.close();
  server.closeIdleConnections();
  // A connection that has not sent its request does not count as idle, so it is closed later.
  setTimeout(() => server.closeAllConnections(), LAST_REQUESTS_MS).unref();
}

function readOptions() {
  const { port, ...others } = parseOptions({
    model: { type: 'string', default: DEFAULTS.model },
    port: { type: 'string', default: DEFAULTS.port },
  });
  return { ...others, port: wholeNumber('--port', port, 0, 65_535) };
}
