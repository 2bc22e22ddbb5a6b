import Module from 'node:module';

/**
 * A built-in module, loaded at its first use. It is found from any path. This file's own path is unknown in a CommonJS
 * bundle, where `import.meta` is empty. webpack takes a `createRequire` imported by name for its own and warns.
 */
export function load(name: string): unknown {
  return Module.createRequire(process.execPath)(name);
}
