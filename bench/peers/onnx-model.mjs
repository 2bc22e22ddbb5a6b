// InfoNCE as an ONNX model, written field by field: cosines by normalised rows, mean of log-sum-exp less the own
// cosine. Field numbers are those of onnx.proto (ModelProto 7 = graph, GraphProto 1 = nodes, and so on).

const FLOAT = 1;

/** @returns {Uint8Array} A model of `anchors` and `positives` (n × dim) whose one output is the loss. */
export function infoNCEModel(n, dim, temperature) {
  const rows = [n, dim];
  const graph = [
    node('LpNormalization', ['anchors'], ['a'], [integer('axis', 1), integer('p', 2)]),
    node('LpNormalization', ['positives'], ['p'], [integer('axis', 1), integer('p', 2)]),
    node('Gemm', ['a', 'p'], ['logits'], [real('alpha', 1 / temperature), integer('transB', 1)]),
    node('ReduceLogSumExp', ['logits'], ['partition'], [integers('axes', [1]), integer('keepdims', 0)]),
    node('Mul', ['a', 'p'], ['products'], []),
    node('ReduceSum', ['products', 'axis'], ['cosines'], [integer('keepdims', 0)]),
    node('Mul', ['cosines', 'scale'], ['own'], []),
    node('Sub', ['partition', 'own'], ['losses'], []),
    node('ReduceMean', ['losses'], ['loss'], [integer('keepdims', 0)]),
  ].map(each => message(1, each));
  const parts = [
    ...graph,
    message(2, text('infonce')),
    message(5, tensor('axis', 7, [1], new Uint8Array(BigInt64Array.of(1n).buffer))),
    message(5, tensor('scale', FLOAT, [], new Uint8Array(Float32Array.of(1 / temperature).buffer))),
    message(11, value('anchors', rows)),
    message(11, value('positives', rows)),
    message(12, value('loss', [])),
  ];
  return concat([number(1, 8), message(7, concat(parts)), message(8, concat([message(1, text('')), number(2, 17)]))]);
}

function node(type, inputs, outputs, attributes) {
  return concat([
    ...inputs.map(name => message(1, text(name))),
    ...outputs.map(name => message(2, text(name))),
    message(4, text(type)),
    ...attributes.map(attribute => message(5, attribute)),
  ]);
}

function integer(name, content) {
  return concat([message(1, text(name)), number(3, content), number(20, 2)]);
}

function integers(name, content) {
  return concat([message(1, text(name)), ...content.map(each => number(8, each)), number(20, 7)]);
}

function real(name, content) {
  const bytes = new Uint8Array(Float32Array.of(content).buffer);
  return concat([message(1, text(name)), Uint8Array.of((2 << 3) | 5), bytes, number(20, 1)]);
}

function tensor(name, type, dims, bytes) {
  return concat([...dims.map(dim => number(1, dim)), number(2, type), message(8, text(name)), message(9, bytes)]);
}

function value(name, dims) {
  const shape = concat(dims.map(dim => message(1, number(1, dim))));
  return concat([message(1, text(name)), message(2, message(1, concat([number(1, FLOAT), message(2, shape)])))]);
}

function number(field, content) {
  return concat([varint(field << 3), varint(content)]);
}

function message(field, content) {
  return concat([varint((field << 3) | 2), varint(content.length), content]);
}

function varint(content) {
  const bytes = [];
  for (let rest = content; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

function text(content) {
  return new TextEncoder().encode(content);
}

function concat(parts) {
  return Uint8Array.from(Buffer.concat(parts));
}
