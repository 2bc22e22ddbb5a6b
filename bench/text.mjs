// How many texts per second an n-gram embedder embeds, and the time of long texts. All texts are made up.

import { NgramEmbedder } from 'microlora-training-utils';
import { measure, measureAsync } from './measure.mjs';

const COUNT = 2000;
const BATCH = 64;

export async function runEmbedding() {
  const texts = Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? sentence(i) : command(i)));
  const han = texts.map((_, i) =>
    Array.from({ length: 30 }, (_, k) => String.fromCodePoint(0x4e00 + random(i, k, 999))),
  );
  const sets = { 'English and shell': texts, Han: han.map(characters => characters.join('')) };
  console.log('\nembed: n-gram rows of made-up texts in batches of 64');
  for (const [name, each] of Object.entries(sets)) {
    const characters = each.reduce((sum, { length }) => sum + length, 0) / COUNT;
    const embedders = { 'not fitted, 1024': new NgramEmbedder() };
    for (const dim of [384, 1024, 2048]) embedders[`fitted, ${dim}`] = await new NgramEmbedder({ dim }).fit(each);
    const ms = measure(
      Object.fromEntries(Object.entries(embedders).map(([row, embedder]) => [row, () => embedAll(embedder, each)])),
    );
    for (const row of Object.keys(embedders)) {
      const rate = Math.round((1000 * COUNT) / ms[row]).toLocaleString('en');
      print(`${name}, ${characters.toFixed(0)} characters: ${row}`, `${rate} texts/s`);
    }
  }
  const { fit } = await measureAsync({ fit: () => new NgramEmbedder().fit(texts) });
  print(`fit on ${COUNT} of them`, `${fit.toFixed(1)} ms`);

  const words = Array.from({ length: 20_000 }, (_, i) => sentence(i)).join(' ');
  const embedder = await new NgramEmbedder().fit(texts);
  const lengths = [1e3, 1e4, 1e5, 1e6];
  const ms = measure(Object.fromEntries(lengths.map(n => [n, () => embedder.embed([words.slice(0, n)])])));
  for (const n of lengths) {
    print(`one text of ${n.toLocaleString('en')} characters`, `${((1e6 * ms[n]) / n).toFixed(0)} ns per character`);
  }
}

function embedAll(embedder, texts) {
  for (let start = 0; start < texts.length; start += BATCH) embedder.embed(texts.slice(start, start + BATCH));
}

/** Twelve words of a vocabulary with a few frequent and many rare words. */
function sentence(seed) {
  return Array.from({ length: 12 }, (_, k) => word(random(seed, k, 40) ** 2)).join(' ');
}

function command(seed) {
  const name = k => word(random(seed, k, 1600));
  return `${name(1)} -${name(2)[0]} ./${name(3)}/*.${name(4).slice(0, 3)} --${name(5)}=${random(seed, 6, 99)} | ${name(7)} -${name(8)[0]} '${name(9)}' > /${name(10)}/${name(11)}.log`;
}

function word(rank) {
  const syllables = ['fi', 'nd', 'er', 'al', 'so', 'ct', 'ing', 'e', 'ta', 'r', 'gre', 'p'];
  let text = '';
  for (let rest = rank + 12; rest > 0; rest = Math.floor(rest / 12)) text += syllables[rest % 12];
  return text;
}

/** The k-th draw of a seed: an integer below `below`. */
function random(seed, k, below) {
  let h = Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(k + 1, 0x85ebca77);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  return ((h ^ (h >>> 13)) >>> 0) % below;
}

function print(name, value) {
  console.log(name.padEnd(54) + value.padStart(24));
}
