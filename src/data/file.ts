// What a file on disk really is, before anyone parses it. Next to read: json.ts.

const POINTER = "version https://git-lfs.github.com/spec/v1";

/** Enough of a file's head for `lfsPointerIn`: pointer files are shorter than this. */
export const POINTER_BYTES = 1024;

/**
 * A sentence for an error message when a file is a Git LFS pointer, a small text that stands for a file not downloaded yet.
 *
 * @param head - The first bytes of the file, up to POINTER_BYTES.
 * @returns undefined when it is an ordinary file.
 * @see https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
 */
export function lfsPointerIn(head: Uint8Array, folder: string, what: string): string | undefined {
  const text = new TextDecoder("latin1").decode(head.subarray(0, POINTER_BYTES));
  if (!text.startsWith(POINTER)) return undefined;
  const size = /\nsize (\d+)/.exec(text)?.[1];
  const real = size ? ` of ${size} bytes` : "";
  return `this is a Git LFS pointer, not the ${what}${real}: run \`git lfs pull\` in ${folder}`;
}

/**
 * Bytes as text. A byte order mark at the start is dropped.
 *
 * @throws RangeError with the line of the first byte that is not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new RangeError(`line ${lineOfBadByte(bytes)} is not UTF-8: save the file as UTF-8`, { cause });
  }
}

/** Line, from 1, where decoding as UTF-8 first fails: halves the range, since a prefix without the bad byte decodes. */
function lineOfBadByte(bytes: Uint8Array): number {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    // `stream` leaves a character cut at the end undecided, so only a truly bad byte throws.
    if (decodes(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  let line = 1;
  for (let i = 0; i < good; i++) if (bytes[i] === 10) line += 1;
  return line;
}

function decodes(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}
