/** Fails in the way that is asked for. */
export default async function errors(kind) {
  if (kind === 'dom') throw new DOMException('the model took too long', 'TimeoutError');
  if (kind === 'text') throw 'a text';
  if (kind === 'plain') throw { message: 'plain' };
  if (kind === 'cause') throw new Error('outer', { cause: () => 1 });
  if (kind === 'bare') throw Object.create(null);
  if (kind === 'empty') throw new RangeError();
  if (kind === 'delayed') throw Object.assign(new Error('limit of the API'), { name: 'DelayedError' });
  if (kind === 'final') throw Object.assign(new Error('there is no such file'), { name: 'UnrecoverableError' });
  if (kind === 'long') throw new Error('x'.repeat(2e6));
  if (kind === 'function') return () => 1;
  if (kind === 'never') await new Promise(() => {});
  if (kind === 'NaN') return { loss: Number.NaN };
  if (kind === 'map') return new Map();
  if (kind === 'floats') return { row: Float32Array.of(1) };
  return kind;
}
