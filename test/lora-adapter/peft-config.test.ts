import { describe, expect, it } from 'vitest';
import { type Adapter, type AdapterConfig, LoRAAdapter } from '../../src/index.js';

const { fromSafetensors, toSafetensors } = LoRAAdapter;
const one: Adapter = { loraA: [[1]], loraB: [[1]], scaling: 1 };
const fileOf = (...names: string[]): Uint8Array => toSafetensors(new Map(names.map(name => [name, one])));

describe('fields that choose another variant of LoRA', () => {
  const read = (config: AdapterConfig | string): unknown => fromSafetensors(fileOf('q'), config);

  it.each(['use_qalora', 'lora_bias', 'alora_invocation_tokens', 'arrow_config', 'kasa_config', 'monteclora_config'])(
    '%s may be absent, false, null or empty, and nothing else',
    field => {
      for (const off of [false, null, {}, [], 0]) {
        expect(() => read({ lora_alpha: 1, [field]: off })).not.toThrow();
        expect(() => read(JSON.stringify({ lora_alpha: 1, [field]: off }, null, 2))).not.toThrow();
      }
      for (const on of [true, 1, { beta: 1 }, [7]]) {
        const message = `config.${field} must be false or absent, as only plain LoRA is supported, got `;
        expect(() => read({ lora_alpha: 1, [field]: on })).toThrow(message);
        expect(() => read(JSON.stringify({ lora_alpha: 1, [field]: on }))).toThrow(message);
        expect(() => read(JSON.stringify({ lora_alpha: 1, [field]: on }, null, 2))).toThrow(message);
      }
    },
  );

  it('are shown as the text has them', () => {
    expect(() => read('{"kasa_config":{ "beta": 1 }}')).toThrow('got "{ "beta": 1 }"');
    expect(() => read('{"use_rslora":"x[y"}')).toThrow('config.use_rslora must be true or false, got "x[y"');
  });
});

describe('patterns', () => {
  it('have at most 100,000 keys', () => {
    const keys = Array.from({ length: 100_001 }, (_, i) => `"^k${i}":1`);
    for (const field of ['rank_pattern', 'alpha_pattern']) {
      expect(() => fromSafetensors(fileOf('q'), `{"lora_alpha":1,"${field}":{${keys}}}`)).toThrow(
        new RangeError(`LoRAAdapter.fromSafetensors: config.${field} has more than 100000 keys`),
      );
    }
    const names = Array.from({ length: 50_000 }, (_, i) => `k${i}`);
    const all = `{"lora_alpha":1,"alpha_pattern":{${names.map(name => `"${name}":2,"^${name}":3`)}}}`;
    expect(fromSafetensors(fileOf(...names), all).get('k49999')!.scaling).toBe(2);
  });

  it('of an object are unclear only where one of the keys looks like an integer', () => {
    const read = (name: string, key: string): number =>
      fromSafetensors(fileOf(name), { lora_alpha: 1, alpha_pattern: { [name]: 2, [key]: 3 } }).get(name)!.scaling;
    for (const key of ['0', '1', '10', '123', '4294967294'])
      expect(() => read(`layers.${key}`, key), key).toThrow('JSON.parse lost their order');
    for (const key of ['00', '01', '1a', 'a1', '0x1', '-1', '1 ', 'q']) {
      expect(read(`layers.${key}`, key), key).toBe(2);
      // The other way round, the key is the first.
      const config = { lora_alpha: 1, alpha_pattern: { [key]: 3, [`layers.${key}`]: 2 } };
      expect([...fromSafetensors(fileOf(`layers.${key}`), config).values()][0]!.scaling, key).toBe(3);
    }
  });
});

describe('keys of tensors', () => {
  /** A file whose tensors have another name of the same length. */
  const renamed = (from: string, to: string): Uint8Array => {
    const bytes = Buffer.from(fileOf('q'));
    const length = Number(bytes.readBigUInt64LE());
    const header = bytes
      .toString('utf8', 8, 8 + length)
      .replaceAll(from, to)
      .trimEnd()
      .padEnd(length);
    return Buffer.concat([bytes.subarray(0, 8), Buffer.from(header), bytes.subarray(8 + length)]);
  };

  it('need both ends, which may not overlap', () => {
    expect(() => fromSafetensors(renamed('base_model.model.q.lora_A', 'base_model.model.lora_A'))).toThrow(
      'the file has base_model.model.lora_A.weight, which is neither',
    );
  });

  it('of no known format get no advice', () => {
    expect(() => fromSafetensors(renamed('base_model.model.q.lora_A.weight', 'q'))).toThrow(
      new RangeError(
        'LoRAAdapter.fromSafetensors: the file has q, which is neither base_model.model.<name>.lora_A.weight nor lora_B.weight',
      ),
    );
  });
});
