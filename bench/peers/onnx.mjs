// Writes ONNX models field by field, without a library. The field numbers come from onnx.proto (ModelProto 7 = graph,
// GraphProto 1 = nodes, and so on).

const FLOAT = 1;
const INT64 = 7;
const OPSET = 17;

/**
 * @param graph Has `nodes`; `inputs` and `outputs`, which are float32, as dims by name; and `constants` by name. A
 *   constant is a number for a float32 scalar, or `{ dims, values }` with a Float32Array or a BigInt64Array.
 * @returns {Uint8Array} The model.
 */
export function model({ name, nodes, inputs, outputs, constants }) {
  const parts = [
    ...nodes.map(each => message(1, each)),
    message(2, text(name)),
    ...Object.entries(constants).map(([constant, content]) => message(5, tensor(constant, content))),
    ...Object.entries(inputs).map(([input, dims]) => message(11, value(input, dims))),
    ...Object.entries(outputs).map(([output, dims]) => message(12, value(output, dims))),
  ];
  const opset = concat([message(1, text('')), number(2, OPSET)]);
  return concat([number(1, 8), message(7, concat(parts)), message(8, opset)]);
}

/**
 * Writes an attribute: a number or an array of integers. A whole number becomes an integer, unless the name is `alpha`
 * or `beta`.
 */
export function node(type, inputs, outputs, attributes = {}) {
  return concat([
    ...inputs.map(name => message(1, text(name))),
    ...outputs.map(name => message(2, text(name))),
    message(4, text(type)),
    ...Object.entries(attributes).map(([name, content]) => message(5, attribute(name, content))),
  ]);
}

function attribute(name, content) {
  if (Array.isArray(content)) return integers(name, content);
  return name === 'alpha' || name === 'beta' ? real(name, content) : integer(name, content);
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

function tensor(name, content) {
  const { dims, values } = typeof content === 'number' ? { dims: [], values: Float32Array.of(content) } : content;
  const type = values instanceof BigInt64Array ? INT64 : FLOAT;
  const bytes = new Uint8Array(values.buffer);
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
