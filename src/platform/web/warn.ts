export function warn(message: string, name: string): void {
  console.warn(`${name}: ${message}`);
}
