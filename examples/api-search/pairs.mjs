// Reads pairs (description → signature) from the declaration files of the TypeScript standard library and of
// @types/node.

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const require = createRequire(import.meta.url);
const LIBRARY_FOLDER = dirname(require.resolve('typescript'));
const NODE_FOLDER = dirname(require.resolve('@types/node/package.json'));

/** Fewest words of a description. A shorter one, such as "Domain version." or a lone link, says too little. */
const FEWEST_WORDS = 3;

/** Pairs of the browser and the language: `{ input: description, output: signature }`, in file order. */
export function readDomAndEcmaScriptPairs() {
  return declarationFiles(LIBRARY_FOLDER, name => name.startsWith('lib.')).flatMap(pairsOfFile);
}

/** Pairs of Node.js, in the same form. */
export function readNodePairs() {
  return declarationFiles(NODE_FOLDER, () => true).flatMap(pairsOfFile);
}

function declarationFiles(folder, isWanted) {
  return readdirSync(folder, { recursive: true })
    .filter(name => name.endsWith('.d.ts') && isWanted(name))
    .sort()
    .map(name => join(folder, name));
}

function pairsOfFile(path) {
  const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const pairs = [];
  visit(file, '');
  return pairs;

  function visit(node, owner) {
    const output = signatureOf(node, owner);
    const input = output && descriptionOf(node);
    if (input && input.split(' ').length >= FEWEST_WORDS) pairs.push({ input, output });
    ts.forEachChild(node, child => visit(child, ownerNameOf(node) ?? owner));
  }
}

/** The first paragraph of the JSDoc as plain text, without code blocks, links, back-ticks and bold. */
function descriptionOf(node) {
  const jsDoc = ts.getJSDocCommentsAndTags(node).findLast(ts.isJSDoc);
  const text = ts.getTextOfJSDocComment(jsDoc?.comment) ?? '';
  const [firstParagraph] = text.trim().split(/\r?\n\s*\n|```/);
  return firstParagraph
    .replace(/ \(\)\}/g, '()}') // TypeScript returns `{@link close()}` as `{@link close ()}`.
    .replace(/\{@link(?:code|plain)?\s+(\S+?)(?:(?:\s*\|\s*|\s+)([^}]*))?\}/g, (_, target, label) => label || target)
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/`|\*\*/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}

/** `Owner.member(parameters): Type`, or undefined for a node that is not part of an API. */
function signatureOf(node, owner) {
  if (ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node)) return nameOf(node);
  if (ts.isConstructSignatureDeclaration(node) || ts.isConstructorDeclaration(node)) {
    return `new ${owner}${parametersOf(node)}`;
  }
  const name = nameOf(node);
  if (name === undefined || name.startsWith('__')) return undefined;
  const path = owner === '' ? name : `${owner}.${name}`;
  if (ts.isFunctionDeclaration(node) || ts.isMethodSignature(node) || ts.isMethodDeclaration(node)) {
    return path + parametersOf(node) + typeOf(node);
  }
  const isValue = ts.isPropertySignature(node) || ts.isPropertyDeclaration(node) || ts.isVariableDeclaration(node);
  if (!isValue && !ts.isAccessor(node)) return undefined;
  const { type } = node;
  if (type === undefined || ts.isTypeLiteralNode(type)) return path;
  return ts.isFunctionTypeNode(type) ? path + parametersOf(type) + typeOf(type) : path + typeOf(node);
}

function parametersOf({ parameters }) {
  return `(${parameters.map(plainText).join(', ')})`;
}

function typeOf({ type }) {
  return type === undefined ? '' : `: ${plainText(type)}`;
}

/** The source of a node on one line, without comments. */
function plainText(node) {
  return node
    .getText()
    .replace(/\/\*.*?\*\/|\/\/.*$/gms, '')
    .replace(/\s+/g, ' ');
}

/** The owner's name in the signatures of a node's members, if it has any: "fs" for `declare module 'node:fs'`. */
function ownerNameOf(node) {
  if (ts.isModuleDeclaration(node)) return node.name.text === 'global' ? '' : moduleName(node.name.text);
  const isOwner = ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node) || ts.isVariableDeclaration(node);
  return isOwner ? nameOf(node) : undefined;
}

/** The name of a module in code: `fs.promises` for 'node:fs/promises'. */
function moduleName(name) {
  return name.replace('node:', '').replaceAll('/', '.');
}

/** The name in code. The static side of `Date` is declared as an interface `DateConstructor`. */
function nameOf({ name }) {
  return name?.getText().replace(/(?<=.)Constructor$/, '');
}
