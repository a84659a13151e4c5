/** Files of this folder that run as processes of their own. */
import { fileURLToPath } from 'node:url';

export function nodeFile(name: string): string {
  return fileURLToPath(new URL(`./${name}`, import.meta.url));
}
