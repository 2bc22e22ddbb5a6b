import { createServer } from 'node:http';

const LONGEST_QUERY = 1_000;
const MOST_ANSWERS = 100;

/** A request that cannot be answered. The message is one sentence. */
class RequestError extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

/**
 * A server that answers `GET /search?q=how+do+I+join&k=3` with `{ query, answers: [{ answer, score }] }`. It answers
 * every other request with `{ error }`.
 *
 * @param search `(query, k) => Promise<answers>`.
 */
export function searchServer(search) {
  return createServer(async (request, response) => {
    try {
      const { query, k } = readRequest(request);
      send(response, 200, { query, answers: await search(query, k) });
    } catch (error) {
      if (error instanceof RequestError) return send(response, error.status, { error: error.message }, error.headers);
      console.error(error);
      send(response, 500, { error: 'The search failed; the server printed why.' });
    }
  });
}

function readRequest({ method, url }) {
  const { pathname, searchParams } = parseUrl(url);
  if (pathname !== '/search') throw new RequestError(404, 'There is only /search here: ask GET /search?q=a+question.');
  if (method !== 'GET' && method !== 'HEAD') {
    throw new RequestError(405, `/search answers GET, not ${method}.`, { allow: 'GET, HEAD' });
  }
  for (const name of new Set(searchParams.keys())) {
    if (name !== 'q' && name !== 'k') throw new RequestError(400, `There is no parameter "${name}", only q and k.`);
    if (searchParams.getAll(name).length > 1) throw new RequestError(400, `${name} is given more than once.`);
  }
  return { query: readQuery(searchParams.get('q')), k: readCount(searchParams.get('k') ?? '3') };
}

function parseUrl(url) {
  try {
    return new URL(url, 'http://localhost');
  } catch {
    throw new RequestError(400, 'The address of the request is not valid.');
  }
}

function readQuery(text) {
  const query = text?.trim();
  if (!query) throw new RequestError(400, 'q is missing or empty: ask GET /search?q=a+question.');
  if (query.length <= LONGEST_QUERY) return query;
  throw new RequestError(400, `q has ${query.length} characters, and ${LONGEST_QUERY} is the most.`);
}

function readCount(text) {
  const k = Number(text);
  if (/^\d+$/.test(text) && k >= 1 && k <= MOST_ANSWERS) return k;
  throw new RequestError(400, `k must be a whole number from 1 to ${MOST_ANSWERS}, not "${text}".`);
}

function send(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(`${JSON.stringify(body)}\n`);
}
