// `node src/engine/native/build.mjs`: compiles the CPU engine to build/tunebook.node, and does nothing where nothing changed.
// Plain JavaScript, no packages but node-addon-api's headers. What is compiled: the common files once, kernels once per instruction set.
//
//     --pipe arm64    instead the program of pipe.cpp, for another processor, by Debian's cross compiler: build/arm64/tunebook-pipe

import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");

/** Processor the program of pipe.cpp is wanted for; undefined for the library under Node. */
const piped = process.argv[2] === "--pipe" ? process.argv[3] : undefined;
const arch = piped ?? process.arch;
const objects = piped ? join(root, "build", piped, "native") : join(root, "build", "native");
const product = piped ? join(root, "build", piped, "tunebook-pipe") : join(root, "build", "tunebook.node");
/** Compilers for a processor that is not this one's. */
const crossCompilers = { arm64: "aarch64-linux-gnu-g++" };

/** How many compilers run at once. */
const PARALLEL = 2;

/** Namespace, name for people, compiler flags. Best last; isa.cpp knows the same namespaces. */
const allSets =
  arch === "x64"
    ? [
        { space: "portable", name: "portable", flags: [] },
        { space: "avx2", name: "avx2", flags: ["-mavx2", "-mfma", "-mf16c"] },
        { space: "avx512", name: "avx512", flags: wide() },
        { space: "avx512bf16", name: "avx512-bf16", flags: [...wide(), "-mavx512bf16"] },
        { space: "amx", name: "amx", flags: [...wide(), "-mamx-tile", "-mamx-bf16"] },
      ]
    : [{ space: "portable", name: "portable", flags: [] }];

/**
 * The sets to build. `TUNEBOOK_BUILD_ISAS=portable,avx512-bf16` builds those alone, for shorter waits while working on kernels; the
 * portable ones always belong to them.
 */
function chooseSets(names = process.env.TUNEBOOK_BUILD_ISAS) {
  if (!names) return allSets;
  const wanted = ["portable", ...names.split(",")];
  const unknown = wanted.find((name) => !allSets.some((set) => set.name === name));
  if (unknown !== undefined) {
    const known = allSets.map(({ name }) => name).join(", ");
    throw new Missing(`TUNEBOOK_BUILD_ISAS: expected names among ${known}, got "${unknown}"`);
  }
  return allSets.filter(({ name }) => wanted.includes(name));
}

function wide() {
  return ["-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"];
}

class Missing extends Error {}

/** The command that installs a package here. */
function install({ debian, fedora, mac }) {
  if (process.platform === "darwin") return mac;
  if (existsSync("/usr/bin/dnf")) return `sudo dnf install -y ${fedora}`;
  return `sudo apt-get install -y ${debian}`;
}

function findCompiler() {
  const found = [];
  const programs = piped && piped !== process.arch ? [crossCompilers[piped]] : [process.env.CXX, "g++", "clang++"];
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
  const crossed = piped && piped !== process.arch ? { debian: "g++-aarch64-linux-gnu" } : undefined;
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

function filesUnder(folder, ending) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesUnder(path, ending) : entry.name.endsWith(ending) ? [path] : [];
    })
    .sort();
}

function hashOf(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}\0`).update(part);
  return hash.digest("hex");
}

function run(program, parameters) {
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

/** One object file: { source, object, flags }. Kernel files (gemm/, ops/) make one for each instruction set. */
function objectsToMake(common) {
  const kernelSets = chooseSets();
  const built = kernelSets.map(({ space }) => `-DTB_BUILT_${space}`);
  const one = (source, suffix, flags) => ({
    source,
    object: join(
      objects,
      `${relative(here, source)
        .replaceAll("/", "-")
        .replace(/\.cpp$/, "")}${suffix}.o`,
    ),
    flags: [...common, ...flags],
  });
  const other = join(here, piped ? "addon.cpp" : "pipe.cpp");
  const sources = filesUnder(here, ".cpp").filter((source) => source !== other);
  return sources.flatMap((source) => {
    if (dirname(source) === here) return [one(source, "", built)];
    return kernelSets.map(({ space, name, flags }) =>
      one(source, `.${space}`, [...flags, `-DTB_ISA=${space}`, `-DTB_NAME=${name}`]),
    );
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

function linkFlags() {
  // Static, so that an emulator needs no libraries of the other processor.
  if (piped) return ["-static", "-pthread"];
  return process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-pthread"];
}

async function build() {
  const compiler = findCompiler();
  const common = [
    ...["-std=c++17", "-O3", "-fPIC", "-fno-exceptions", "-fno-math-errno", "-fno-trapping-math"],
    ...["-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi"],
    "-DNDEBUG",
    ...(piped
      ? []
      : [
          ...["-DNAPI_VERSION=8", "-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS"],
          ...["-isystem", findNodeHeaders(), "-isystem", findAddonApi()],
        ]),
  ];
  const list = objectsToMake(common);
  const headerHash = hashOf(...filesUnder(here, ".h").map((file) => readFileSync(file)));
  const sources = list.map(({ source, flags }) => `${flags.join(" ")}\0${readFileSync(source)}`);
  const whole = hashOf(headerHash, JSON.stringify(compiler), process.version, ...sources);
  const stamp = join(objects, "product.hash");
  if (existsSync(product) && existsSync(stamp) && readFileSync(stamp, "utf8") === whole) return;
  mkdirSync(objects, { recursive: true });
  await compileAll(compiler, list);
  const made = `${product}.${process.pid}`;
  await run(compiler.program, [...linkFlags(), "-o", made, ...list.map(({ object }) => object)]);
  renameSync(made, product);
  writeFileSync(stamp, whole);
  console.log(`built ${relative(root, product)} with ${compiler.program} ${compiler.version}`);
}

try {
  await build();
} catch (error) {
  console.error(error instanceof Missing ? `native engine: ${error.message}` : error.message);
  process.exitCode = 1;
}
