// `node src/engine/native/build.mjs`: compiles the CPU engine to build/tunebook.node, then the CUDA engine (cuda/build.mjs),
// and does nothing where nothing changed.
// Plain JavaScript, no packages but node-addon-api's headers. What is compiled: the common files once, kernels once per instruction set.
//
//     --pipe arm64    instead the program of pipe.cpp, for another processor, by Debian's cross compiler: build/arm64/tunebook-pipe

import { dirname, join, relative } from "node:path";
import {
  commonFlags,
  filesUnder,
  findCompiler,
  native as here,
  Missing,
  makeProduct,
  nodeFlags,
  root,
} from "./compile.mjs";
import { buildCuda } from "./cuda/build.mjs";

/** Processor the program of pipe.cpp is wanted for; undefined for the library under Node. */
const piped = process.argv[2] === "--pipe" ? process.argv[3] : undefined;
const arch = piped ?? process.arch;
const objects = piped ? join(root, "build", piped, "native") : join(root, "build", "native");
const product = piped ? join(root, "build", piped, "tunebook-pipe") : join(root, "build", "tunebook.node");
/** What belongs to the CUDA engine alone. */
const cuda = join(here, "cuda");

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

/** One object file: { source, object, flags }. Kernel files (gemm/, ops/) make one for each instruction set. */
function objectsToMake(common) {
  const kernelSets = chooseSets();
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
  const sources = filesUnder(here, ".cpp").filter((source) => source !== other && !source.startsWith(cuda));
  return sources.flatMap((source) => {
    if (dirname(source) === here) return [one(source, "", [])];
    return kernelSets.map(({ space, name, flags }) =>
      one(source, `.${space}`, [...flags, `-DTB_ISA=${space}`, `-DTB_NAME=${name}`]),
    );
  });
}

async function build() {
  const headers = filesUnder(here, ".h").filter((file) => !file.startsWith(cuda));
  const list = objectsToMake([...commonFlags, ...(piped ? [] : nodeFlags())]);
  // Static, so that an emulator needs no libraries of the other processor.
  const link = piped ? { link: ["-static", "-pthread"] } : {};
  await makeProduct(product, list, headers, { compiler: findCompiler(arch), ...link });
  if (!piped) await buildCuda();
}

try {
  await build();
} catch (error) {
  console.error(error instanceof Missing ? `native engine: ${error.message}` : error.message);
  process.exitCode = 1;
}
