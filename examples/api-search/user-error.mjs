/** A user's mistake, described in one sentence: in the command line (exit code 2) or in a file (exit code 1). */
export class UserError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Describes what went wrong with a file. */
export function fileProblem({ code, message }) {
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'EACCES') return 'permission is denied';
  return message;
}
