import type * as Crypto from 'node:crypto';
import Module from 'node:module';

let loaded: typeof Crypto | undefined;

/**
 * `node:crypto`, loaded at the first hash: with it, this package takes a fifth longer to import. A built-in module is found
 * from any path. This file's own is unknown in a CommonJS bundle, where `import.meta` is empty. webpack takes a
 * `createRequire` imported by name for its own and warns.
 */
export function crypto(): typeof Crypto {
  loaded ??= Module.createRequire(process.execPath)('node:crypto') as typeof Crypto;
  return loaded;
}
