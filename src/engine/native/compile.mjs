// Compiling and linking native code, nothing twice: tools and headers are looked up, an object is made again when one of its files has
// changed. Used by build.mjs and cuda/build.mjs.

import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const native = dirname(fileURLToPath(import.meta.url));
export const root = join(native, "..", "..", "..");

/** How many compilers run at once. */
const PARALLEL = 2;

export class Missing extends Error {}

/** The command that installs a package here. */
function install({ debian, fedora, mac }) {
  if (process.platform === "darwin") return mac;
  if (existsSync("/usr/bin/dnf")) return `sudo dnf install -y ${fedora}`;
  return `sudo apt-get install -y ${debian}`;
}

/** Compilers for a processor that is not this one's. */
const crossCompilers = { arm64: "aarch64-linux-gnu-g++" };

/** @param arch - Processor to compile for. */
export function findCompiler(arch = process.arch) {
  const found = [];
  const cross = arch !== process.arch;
  const programs = cross ? [crossCompilers[arch]] : [process.env.CXX, "g++", "clang++"];
  for (const program of programs) {
    if (!program) continue;
    try {
      const version = execFileSync(program, ["-dumpversion"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
      if (Number.parseInt(version, 10) >= 12) return { program, version };
      found.push(`${program} ${version}`);
    } catch (error) {
      if (error.code !== "ENOENT") found.push(`${program}: ${error.message}`);
    }
  }
  const crossed = cross ? { debian: "g++-aarch64-linux-gnu" } : undefined;
  const command = install(crossed ?? { debian: "g++", fedora: "gcc-c++", mac: "xcode-select --install" });
  throw new Missing(
    `no C++ compiler: g++ 12 or clang++ 12 or newer is needed, found ${found.join(", ") || "none"}\n  ${command}`,
  );
}

function findNodeHeaders() {
  const places = [join(dirname(process.execPath), "..", "include", "node"), "/usr/include/node"];
  const place = places.find((candidate) => existsSync(join(candidate, "node_api.h")));
  if (place) return place;
  const command = install({ debian: "libnode-dev", fedora: "nodejs-devel", mac: "brew install node" });
  throw new Missing(`no Node headers: node_api.h is in none of ${places.join(", ")}\n  ${command}`);
}

function findAddonApi() {
  const place = join(root, "node_modules", "node-addon-api");
  if (existsSync(join(place, "napi.h"))) return place;
  throw new Missing(`no napi.h in ${place}\n  npm ci`);
}

export function filesUnder(folder, ending) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesUnder(path, ending) : entry.name.endsWith(ending) ? [path] : [];
    })
    .sort();
}

export function hashOf(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}\0`).update(part);
  return hash.digest("hex");
}

export function run(program, parameters) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code !== 0) reject(new Error(`${program} ${parameters.join(" ")}\n${output}`));
      else resolve(output);
    });
  });
}

/** Of the compiler, its flags and all files of ours that went into an object, as the compiler listed them; undefined before the first time. */
function objectHash(compiler, { object, flags }) {
  const listing = `${object}.d`;
  if (!existsSync(object) || !existsSync(listing)) return undefined;
  const files = readFileSync(listing, "utf8")
    .replace(/^[^:]*:/, "")
    .split(/[\s\\]+/)
    .filter(Boolean);
  if (!files.every((file) => existsSync(file))) return undefined;
  return hashOf(compiler.program, compiler.version, flags.join(" "), ...files.map((file) => readFileSync(file)));
}

async function compileAll(compiler, list) {
  const waiting = list.filter((unit) => {
    const stamp = `${unit.object}.hash`;
    const hash = objectHash(compiler, unit);
    return !hash || !existsSync(stamp) || readFileSync(stamp, "utf8") !== hash;
  });
  // The longest first, so that none is left alone at the end.
  waiting.sort((a, b) => statSync(b.source).size - statSync(a.source).size);
  const next = async () => {
    for (let unit = waiting.shift(); unit; unit = waiting.shift()) {
      const made = `${unit.object}.${process.pid}`;
      const listing = ["-MMD", "-MF", `${unit.object}.d`];
      const output = await run(compiler.program, [...unit.flags, ...listing, "-c", unit.source, "-o", made]);
      if (output) process.stderr.write(output);
      renameSync(made, unit.object);
      writeFileSync(`${unit.object}.hash`, objectHash(compiler, unit));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, next));
}

/** Flags of all native code: C++17 without exceptions. */
export const commonFlags = [
  ...["-std=c++17", "-O3", "-fPIC", "-fno-exceptions", "-fno-math-errno", "-fno-trapping-math"],
  ...["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi", "-DNDEBUG"],
];

/** Flags of what is loaded by Node. */
export function nodeFlags() {
  return [
    ...["-DNAPI_VERSION=8", "-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS"],
    ...["-isystem", findNodeHeaders(), "-isystem", findAddonApi()],
  ];
}

const libraryFlags =
  process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-pthread"];

/**
 * A library or program from its objects, { source, object, flags } each, unless nothing has changed since the last time.
 *
 * @param headers - All files that sources may include.
 */
export async function makeProduct(product, list, headers, { compiler = findCompiler(), link = libraryFlags } = {}) {
  const headerHash = hashOf(...headers.map((file) => readFileSync(file)));
  const sources = list.map(({ source, flags }) => `${flags.join(" ")}\0${readFileSync(source)}`);
  const whole = hashOf(headerHash, JSON.stringify([compiler, link]), process.version, ...sources);
  const objects = dirname(list[0].object);
  const stamp = join(objects, `${basename(product)}.hash`);
  if (existsSync(product) && existsSync(stamp) && readFileSync(stamp, "utf8") === whole) return;
  mkdirSync(objects, { recursive: true });
  await compileAll(compiler, list);
  const made = `${product}.${process.pid}`;
  await run(compiler.program, [...link, "-o", made, ...list.map(({ object }) => object)]);
  renameSync(made, product);
  writeFileSync(stamp, whole);
  console.log(`built ${relative(root, product)} with ${compiler.program} ${compiler.version}`);
}
