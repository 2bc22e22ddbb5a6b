const ANSWERS_SHOWN = 3;

/** For each query the rank of the right answer among the candidates, from 1, and the best answers. */
export function findAll(queries, examples, candidates) {
  return queries.map((query, i) => {
    const answers = answersTo(query, candidates);
    return { rank: answers.indexOf(examples[i].output) + 1, top: answers.slice(0, ANSWERS_SHOWN) };
  });
}

/** All candidates, best first. Their rows have unit length, so the dot product orders them as the cosine does. */
function answersTo(query, candidates) {
  return Array.from(candidates, ([answer, embedding]) => ({ answer, score: dot(query, embedding) }))
    .sort((a, b) => b.score - a.score)
    .map(({ answer }) => answer);
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export function metricsOf(found) {
  const mean = score => found.reduce((sum, { rank }) => sum + score(rank), 0) / found.length;
  return {
    recallAt1: mean(rank => (rank <= 1 ? 1 : 0)),
    recallAt10: mean(rank => (rank <= 10 ? 1 : 0)),
    mrr: mean(rank => 1 / rank),
  };
}
