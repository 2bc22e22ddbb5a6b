// The computations as a training script without a library would write them: plain loops over rows, one pair at a time.

import { createHash } from 'node:crypto';

export function cosine(a, b) {
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    squaresA += a[i] * a[i];
    squaresB += b[i] * b[i];
  }
  return dot / (Math.sqrt(squaresA) * Math.sqrt(squaresB) + 1e-8);
}

export function contrastive(anchors, positives, temperature = 0.07) {
  let total = 0;
  for (let i = 0; i < anchors.length; i++) {
    const own = cosine(anchors[i], positives[i]) / temperature;
    let others = 0;
    for (let j = 0; j < positives.length; j++) {
      if (j !== i) others += Math.exp(cosine(anchors[i], positives[j]) / temperature);
    }
    total -= Math.log(Math.exp(own) / (Math.exp(own) + others));
  }
  return total / anchors.length;
}

/**
 * `contrastive` with k own negatives per anchor. With `inBatch`, the other positives of the batch are negatives too.
 */
export function contrastiveOwn(anchors, positives, negatives, inBatch, temperature = 0.07) {
  const k = negatives.length / anchors.length;
  let total = 0;
  for (let i = 0; i < anchors.length; i++) {
    const own = cosine(anchors[i], positives[i]) / temperature;
    let others = 0;
    for (let j = i * k; j < (i + 1) * k; j++) others += Math.exp(cosine(anchors[i], negatives[j]) / temperature);
    for (let j = 0; inBatch && j < positives.length; j++) {
      if (j !== i) others += Math.exp(cosine(anchors[i], positives[j]) / temperature);
    }
    total -= Math.log(Math.exp(own) / (Math.exp(own) + others));
  }
  return total / anchors.length;
}

export function hardestNegatives(anchors, positives) {
  return anchors.map((anchor, i) => {
    let hardest = -1;
    let highest = -Infinity;
    for (let j = 0; j < positives.length; j++) {
      if (j === i) continue;
      const similarity = cosine(anchor, positives[j]);
      if (similarity > highest) {
        highest = similarity;
        hardest = j;
      }
    }
    return positives[hardest];
  });
}

/** Mines negatives as `BatchGenerator` does, for examples without duplicates. */
export function mineNegatives(data, strategy) {
  return data.map(({ inputEmb, outputEmb }, i) => {
    const own = cosine(inputEmb, outputEmb);
    let best = i;
    let highest = -Infinity;
    data.forEach((other, j) => {
      const similarity = cosine(inputEmb, other.outputEmb);
      if (j === i || (strategy === 'semi-hard' && similarity >= own) || similarity <= highest) return;
      best = j;
      highest = similarity;
    });
    return data[best].outputEmb;
  });
}

/** The best `k` candidates of each query, by sorting all cosines. */
export function search(queries, candidates, k, similarity) {
  const found = queries.map(query => {
    const scores = candidates.map(candidate => similarity(query, candidate));
    const order = scores.map((_, j) => j).sort((a, b) => scores[b] - scores[a]);
    const best = order.slice(0, k);
    return { indices: best, scores: best.map(j => scores[j]) };
  });
  return { indices: found.map(({ indices }) => indices), scores: found.map(({ scores }) => scores) };
}

/** Rank of the relevant candidate of each query, from 1. */
export function ranks(queries, candidates, relevant, similarity) {
  const { indices } = search(queries, candidates, candidates.length, similarity);
  return indices.map((order, i) => order.indexOf(relevant[i]) + 1);
}

/** The most similar candidates that are not relevant and whose cosine is at most `maxSimilarity`. */
export function mineFromCorpus(queries, candidates, relevant, count, maxSimilarity, similarity) {
  const { indices, scores } = search(queries, candidates, candidates.length, similarity);
  return indices.map((order, i) =>
    order.filter((j, n) => j !== relevant[i] && scores[i][n] <= maxSimilarity).slice(0, count),
  );
}

export function crossEntropy(logits, targets) {
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    const highest = Math.max(...logits[i]);
    const sum = logits[i].reduce((all, logit) => all + Math.exp(logit - highest), 0);
    const logShares = logits[i].map(logit => logit - highest - Math.log(sum));
    total -= logShares[targets[i]];
  }
  return total / logits.length;
}

export function triplet(anchors, positives, negatives, margin = 0.5) {
  let total = 0;
  for (let i = 0; i < anchors.length; i++) {
    total += Math.max(0, euclidean(anchors[i], positives[i]) - euclidean(anchors[i], negatives[i]) + margin);
  }
  return total / anchors.length;
}

function euclidean(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = a[i] - b[i];
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}

export function mse(predictions, targets) {
  let total = 0;
  for (let i = 0; i < predictions.length; i++) {
    let sum = 0;
    for (let k = 0; k < predictions[i].length; k++) {
      const difference = predictions[i][k] - targets[i][k];
      sum += difference * difference;
    }
    total += sum / predictions[i].length;
  }
  return total / predictions.length;
}

export function cosineEmbedding(predictions, targets) {
  let total = 0;
  for (let i = 0; i < predictions.length; i++) total += 1 - cosine(predictions[i], targets[i]);
  return total / predictions.length;
}

/** Gradients of `mse` with respect to predictions and targets. */
export function mseGradients(predictions, targets) {
  const [ofPredictions, ofTargets] = [zeroRows(predictions), zeroRows(targets)];
  for (let i = 0; i < predictions.length; i++) {
    const { length } = predictions[i];
    for (let k = 0; k < length; k++) {
      const gradient = (2 * (predictions[i][k] - targets[i][k])) / (length * predictions.length);
      ofPredictions[i][k] = gradient;
      ofTargets[i][k] = -gradient;
    }
  }
  return [...ofPredictions, ...ofTargets];
}

/** Gradients of `triplet` with respect to anchors, positives and negatives. */
export function tripletGradients(anchors, positives, negatives, margin = 0.5) {
  const [ofAnchors, ofPositives, ofNegatives] = [zeroRows(anchors), zeroRows(positives), zeroRows(negatives)];
  for (let i = 0; i < anchors.length; i++) {
    const near = euclidean(anchors[i], positives[i]);
    const far = euclidean(anchors[i], negatives[i]);
    if (near - far + margin <= 0) continue;
    for (let k = 0; k < anchors[i].length; k++) {
      const pull = (anchors[i][k] - positives[i][k]) / near / anchors.length;
      const push = (anchors[i][k] - negatives[i][k]) / far / anchors.length;
      ofAnchors[i][k] = pull - push;
      ofPositives[i][k] = -pull;
      ofNegatives[i][k] = push;
    }
  }
  return [...ofAnchors, ...ofPositives, ...ofNegatives];
}

/** Gradients of `cosineEmbedding` with respect to predictions and targets. */
export function cosineGradients(predictions, targets) {
  const [ofPredictions, ofTargets] = [zeroRows(predictions), zeroRows(targets)];
  for (let i = 0; i < predictions.length; i++) {
    addCosineGradient(ofPredictions[i], predictions[i], targets[i], -1 / predictions.length);
    addCosineGradient(ofTargets[i], targets[i], predictions[i], -1 / predictions.length);
  }
  return [...ofPredictions, ...ofTargets];
}

function zeroRows(rows) {
  return rows.map(row => new Float32Array(row.length));
}

function addCosineGradient(gradient, a, b, scale) {
  const norm = row => Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
  const [normA, normB, similarity] = [norm(a), norm(b), cosine(a, b)];
  for (let k = 0; k < a.length; k++) {
    gradient[k] += (scale * (b[k] / normB - (similarity * a[k]) / normA)) / normA;
  }
}

/** Gradients of `crossEntropy` with respect to the logits. */
export function crossEntropyGradient(logits, targets) {
  return logits.map((row, i) => {
    const highest = row.reduce((most, value) => Math.max(most, value), -Infinity);
    const exponentials = Array.from(row, value => Math.exp(value - highest));
    const sum = exponentials.reduce((all, value) => all + value, 0);
    return Float32Array.from(exponentials, (value, c) => (value / sum - (c === targets[i] ? 1 : 0)) / logits.length);
  });
}

/** Gradients of `contrastive` with respect to the anchors. */
export function contrastiveGradient(anchors, positives, temperature = 0.07) {
  return anchors.map((anchor, i) => {
    const gradient = new Float32Array(anchor.length);
    const weights = positives.map(positive => Math.exp(cosine(anchor, positive) / temperature));
    const sum = weights.reduce((all, weight) => all + weight, 0);
    positives.forEach((positive, j) => {
      const share = weights[j] / sum - (i === j ? 1 : 0);
      addCosineGradient(gradient, anchor, positive, share / temperature / anchors.length);
    });
    return gradient;
  });
}

/** Mean squared gradients of the MSE between adapted inputs and targets, one example after the other. */
export function fisher(adapters, data) {
  const fishers = new Map();
  for (const [name, { loraA, loraB, scaling }] of adapters) {
    const dim = loraA.length;
    const rank = loraB.length;
    const fisherA = zeros(dim, rank);
    const fisherB = zeros(rank, dim);
    for (const { inputEmb, outputEmb } of data) {
      const { gradA, gradB } = adapterGradients(inputEmb, outputEmb, loraA, loraB, scaling);
      for (let i = 0; i < dim; i++) for (let k = 0; k < rank; k++) fisherA[i][k] += gradA[i][k] * gradA[i][k];
      for (let k = 0; k < rank; k++) for (let j = 0; j < dim; j++) fisherB[k][j] += gradB[k][j] * gradB[k][j];
    }
    for (const row of [...fisherA, ...fisherB]) for (let j = 0; j < row.length; j++) row[j] /= data.length;
    fishers.set(name, { fisherA, fisherB });
  }
  return fishers;
}

function adapterGradients(input, target, loraA, loraB, scaling) {
  const dim = loraA.length;
  const rank = loraB.length;
  const hidden = new Float64Array(rank);
  for (let k = 0; k < rank; k++) for (let i = 0; i < dim; i++) hidden[k] += input[i] * loraA[i][k];
  const output = [...input];
  for (let j = 0; j < dim; j++) for (let k = 0; k < rank; k++) output[j] += scaling * hidden[k] * loraB[k][j];
  const gradOutput = output.map((value, j) => (2 * (value - target[j])) / dim);
  const gradB = zeros(rank, dim);
  for (let k = 0; k < rank; k++) for (let j = 0; j < dim; j++) gradB[k][j] = hidden[k] * gradOutput[j] * scaling;
  const gradHidden = new Float64Array(rank);
  for (let k = 0; k < rank; k++) for (let j = 0; j < dim; j++) gradHidden[k] += gradOutput[j] * loraB[k][j] * scaling;
  const gradA = zeros(dim, rank);
  for (let i = 0; i < dim; i++) for (let k = 0; k < rank; k++) gradA[i][k] = input[i] * gradHidden[k];
  return { gradA, gradB };
}

export function penalty(adapters, fishers, optima, lambda) {
  let sum = 0;
  for (const [name, { loraA, loraB }] of adapters) {
    const { fisherA, fisherB } = fishers.get(name);
    const optimum = optima.get(name);
    for (let i = 0; i < loraA.length; i++) {
      for (let k = 0; k < loraA[0].length; k++) {
        const difference = loraA[i][k] - optimum.loraA[i][k];
        sum += fisherA[i][k] * difference * difference;
      }
    }
    for (let k = 0; k < loraB.length; k++) {
      for (let j = 0; j < loraB[0].length; j++) {
        const difference = loraB[k][j] - optimum.loraB[k][j];
        sum += fisherB[k][j] * difference * difference;
      }
    }
  }
  return (lambda / 2) * sum;
}

export function penaltyGradient(adapters, fishers, optima, lambda) {
  const gradients = new Map();
  for (const [name, { loraA, loraB }] of adapters) gradients.set(name, zeroGradients(loraA.length, loraB.length));
  addPenaltyGradient(adapters, fishers, optima, lambda, gradients);
  return gradients;
}

export function addPenaltyGradient(adapters, fishers, optima, lambda, gradients) {
  for (const [name, { loraA, loraB }] of adapters) {
    const { fisherA, fisherB } = fishers.get(name);
    const optimum = optima.get(name);
    const { gradA, gradB } = gradients.get(name);
    for (let i = 0; i < loraA.length; i++) {
      for (let k = 0; k < loraA[0].length; k++) {
        gradA[i][k] += lambda * fisherA[i][k] * (loraA[i][k] - optimum.loraA[i][k]);
      }
    }
    for (let k = 0; k < loraB.length; k++) {
      for (let j = 0; j < loraB[0].length; j++) {
        gradB[k][j] += lambda * fisherB[k][j] * (loraB[k][j] - optimum.loraB[k][j]);
      }
    }
  }
}

export function applyGradient(adapters, fishers, optima, lambda, rate) {
  for (const [name, { loraA, loraB }] of adapters) {
    const { fisherA, fisherB } = fishers.get(name);
    const optimum = optima.get(name);
    for (let i = 0; i < loraA.length; i++) {
      for (let k = 0; k < loraA[0].length; k++) {
        loraA[i][k] -= rate * lambda * fisherA[i][k] * (loraA[i][k] - optimum.loraA[i][k]);
      }
    }
    for (let k = 0; k < loraB.length; k++) {
      for (let j = 0; j < loraB[0].length; j++) {
        loraB[k][j] -= rate * lambda * fisherB[k][j] * (loraB[k][j] - optimum.loraB[k][j]);
      }
    }
  }
}

export function loraForward({ loraA, loraB, scaling }, rows) {
  return rows.map(row => {
    const hidden = new Float64Array(loraB.length);
    for (let k = 0; k < loraB.length; k++) for (let i = 0; i < row.length; i++) hidden[k] += row[i] * loraA[i][k];
    const output = Float32Array.from(row);
    for (let j = 0; j < output.length; j++) {
      let delta = 0;
      for (let k = 0; k < loraB.length; k++) delta += hidden[k] * loraB[k][j];
      output[j] += scaling * delta;
    }
    return output;
  });
}

export function loraBackward({ loraA, loraB, scaling }, rows, gradRows) {
  const dim = loraA.length;
  const rank = loraB.length;
  const gradA = zeros(dim, rank);
  const gradB = zeros(rank, dim);
  rows.forEach((row, n) => {
    const hidden = new Float64Array(rank);
    const gradHidden = new Float64Array(rank);
    for (let k = 0; k < rank; k++) {
      for (let i = 0; i < dim; i++) {
        hidden[k] += row[i] * loraA[i][k];
        gradHidden[k] += scaling * gradRows[n][i] * loraB[k][i];
      }
    }
    for (let i = 0; i < dim; i++) {
      for (let k = 0; k < rank; k++) {
        gradA[i][k] += row[i] * gradHidden[k];
        gradB[k][i] += scaling * hidden[k] * gradRows[n][i];
      }
    }
  });
  return { gradA, gradB };
}

/** AdamW on matrices of rows. `state` holds `step`, and `first` and `second` in the shape of the values. */
export function adamw(values, gradients, state, { lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01 }) {
  state.step++;
  const correction1 = 1 - beta1 ** state.step;
  const correction2 = 1 - beta2 ** state.step;
  for (let i = 0; i < values.length; i++) {
    for (let j = 0; j < values[i].length; j++) {
      const gradient = gradients[i][j];
      state.first[i][j] = beta1 * state.first[i][j] + (1 - beta1) * gradient;
      state.second[i][j] = beta2 * state.second[i][j] + (1 - beta2) * gradient * gradient;
      const root = Math.sqrt(state.second[i][j] / correction2) + eps;
      values[i][j] -= lr * (weightDecay * values[i][j] + state.first[i][j] / correction1 / root);
    }
  }
}

export function adamState(height, width) {
  return { step: 0, first: zeros(height, width), second: zeros(height, width) };
}

/** Zero gradients of a square adapter. */
export function zeroGradients(dim, rank) {
  return { gradA: zeros(dim, rank), gradB: zeros(rank, dim) };
}

export function zeros(rows, columns) {
  return Array.from({ length: rows }, () => new Array(columns).fill(0));
}

/** Tokens and hash embeddings with a cache. */
export class Preprocessor {
  vocab = new Map();
  cache = new Map();

  async process(examples) {
    const processed = [];
    for (const example of examples) processed.push(await this.processOne(example));
    return processed;
  }

  async processOne({ input, output }) {
    const [inputTokens, outputTokens] = [this.tokenize(input).slice(0, 512), this.tokenize(output).slice(0, 512)];
    return { input, output, inputEmb: this.embed(input), outputEmb: this.embed(output), inputTokens, outputTokens };
  }

  tokenize(text) {
    const tokens = [];
    for (const word of text.split(/\s+/)) {
      if (!this.vocab.has(word)) this.vocab.set(word, this.vocab.size);
      tokens.push(this.vocab.get(word), 32);
    }
    return tokens;
  }

  embed(text) {
    const key = createHash('md5').update(text).digest('hex');
    if (this.cache.has(key)) return this.cache.get(key);
    const hash = createHash('sha256').update(text).digest();
    const embedding = new Float32Array(384);
    for (let i = 0; i < 384; i++) embedding[i] = (hash[i % 32] - 128) / 128;
    for (let i = 0; i < text.length && i < 384; i++) embedding[i] += (text.charCodeAt(i) - 64) / 256;
    let norm = 0;
    for (let i = 0; i < 384; i++) norm += embedding[i] * embedding[i];
    norm = Math.sqrt(norm) || 1;
    for (let i = 0; i < 384; i++) embedding[i] /= norm;
    this.cache.set(key, embedding);
    return embedding;
  }
}
