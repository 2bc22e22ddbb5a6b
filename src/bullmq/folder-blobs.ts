import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkKnownNames } from '../internal/known-names.js';
import { wrongType } from '../internal/validate/messages.js';
import { checkCount } from '../internal/validate/option-checks.js';
import { type Blobs, checkedBlobs, DEFAULT_MAX_BYTES } from './blobs.js';

export interface FolderBlobsOptions {
  /**
   * Seconds until bytes are deleted. Each `put` starts them anew.
   *
   * @default 86400, a day
   */
  ttlSeconds?: number;
  /**
   * Most bytes of one value, in both directions.
   *
   * @default 256 MiB
   */
  maxBytes?: number;
}

const SUFFIX = '.blob';
/** File systems take names of up to 255 bytes. */
const MOST_NAME_LENGTH = 200;

/**
 * A store of bytes in a folder that all machines mount. Each value is one file with a checksum. A file is written under
 * another name first, so a reader never sees half of one.
 *
 * @param folder It is made if it is missing.
 * @throws TypeError or RangeError for wrong arguments.
 */
export function folderBlobs(folder: string, options: FolderBlobsOptions = {}): Blobs {
  const call = 'folderBlobs';
  if (typeof folder !== 'string' || folder === '') throw wrongType(call, 'folder', 'a path', folder);
  checkKnownNames(call, options, ['ttlSeconds', 'maxBytes']);
  const { ttlSeconds = 86_400, maxBytes = DEFAULT_MAX_BYTES } = options;
  checkCount(call, 'ttlSeconds', ttlSeconds);
  const ttlMs = 1000 * ttlSeconds;
  let lastSweep = -Infinity;

  /** The size of a value's file. Undefined if there is none, or it has expired. */
  async function sizeOf(file: string): Promise<number | undefined> {
    const found = await stat(file).catch(ifMissing);
    return found && Date.now() - found.mtimeMs < ttlMs ? found.size : undefined;
  }

  /** Deletes expired files, at most ten times in the life of a value. */
  async function sweep(): Promise<void> {
    if (Date.now() - lastSweep < ttlMs / 10) return;
    lastSweep = Date.now();
    for (const name of await readdir(folder)) {
      const file = join(folder, name);
      if (name.endsWith(SUFFIX) && (await sizeOf(file)) === undefined) await rm(file, { force: true });
    }
  }

  return checkedBlobs(call, maxBytes, {
    async write(key, stored) {
      await mkdir(folder, { recursive: true });
      const half = join(folder, `${randomUUID()}.part`);
      try {
        await writeFile(half, stored);
        // The clocks of a file server and of this machine may differ.
        await utimes(half, new Date(), new Date());
        await rename(half, join(folder, nameOf(key)));
      } catch (error) {
        await rm(half, { force: true });
        throw error;
      }
      await sweep();
    },
    async read(key, most) {
      const file = join(folder, nameOf(key));
      const size = await sizeOf(file);
      if (size === undefined || size > most) return size;
      return readFile(file).catch(ifMissing);
    },
    async has(key) {
      return (await sizeOf(join(folder, nameOf(key)))) !== undefined;
    },
    async delete(keys) {
      await Promise.all(keys.map(key => rm(join(folder, nameOf(key)), { force: true })));
    },
  });
}

function ifMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

/** The file of a key. It has no letters that a file system could read as a path, or as another letter. */
function nameOf(key: string): string {
  const name = encodeURIComponent(key).replaceAll(/[*.A-Z]/g, letter => `=${letter.charCodeAt(0).toString(16)}`);
  const isShort = name.length <= MOST_NAME_LENGTH;
  return (isShort ? name : createHash('sha256').update(key).digest('hex')) + SUFFIX;
}
