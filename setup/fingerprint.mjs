// Whether a part of the set-up is still current: a hash over the names and bytes of the files it is made from.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** Folders that hold results, never sources. */
const results = new Set(["node_modules", "dist", "lib", "build", "labextension", "__pycache__", ".cache"]);

/** All files under a path, sorted, without results; the path itself when it is a file; none when it does not exist. */
export function filesUnder(path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return [];
  if (stats.isFile()) return [path];
  return readdirSync(path)
    .filter((name) => !results.has(name))
    .sort()
    .flatMap((name) => filesUnder(join(path, name)));
}

/**
 * Hex hash over files and facts.
 *
 * @param root - Names are taken relative to it.
 * @param sources - Files and folders, relative to root.
 * @param facts - Other things the part depends on, such as a compiler's version.
 */
export function fingerprint(root, sources, facts) {
  const hash = createHash("sha256").update(JSON.stringify(facts));
  for (const source of sources) {
    for (const file of filesUnder(join(root, source))) {
      const bytes = readFileSync(file);
      hash.update(`\0${relative(root, file)}\0${bytes.length}\0`).update(bytes);
    }
  }
  return hash.digest("hex");
}

/** What was set up when: part name to fingerprint. A file that is no JSON object counts as none. */
export function readState(file) {
  if (!existsSync(file)) return {};
  try {
    const state = JSON.parse(readFileSync(file, "utf8"));
    return typeof state === "object" && state !== null ? state : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

/** Written beside and renamed over, so that a set-up cut short leaves the old state or the new. */
export function writeState(file, state) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}
