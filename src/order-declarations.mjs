// Moves the six classes to the top of dist/index.d.ts. The bundler puts them below all that they use.

import { readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';

const CLASSES = [
  'BatchGenerator',
  'DataPreprocessor',
  'EWCManager',
  'GradientCheckpointer',
  'LossComputer',
  'LRSchedulers',
];

const path = new URL('../dist/index.d.ts', import.meta.url);
const file = ts.createSourceFile('index.d.ts', readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
const statements = file.statements.map(statement => ({
  text: statement.getFullText(file).trim(),
  isImport: ts.isImportDeclaration(statement),
  name: (ts.isVariableStatement(statement) ? statement.declarationList.declarations[0] : statement).name?.text,
}));
const imports = statements.filter(({ isImport }) => isImport);
const classes = CLASSES.map(name => statements.find(statement => statement.name === name));
const rest = statements.filter(each => !imports.includes(each) && !classes.includes(each));
writeFileSync(path, `${[...imports, ...classes, ...rest].map(({ text }) => text).join('\n\n')}\n`);
