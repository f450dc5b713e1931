// What must be on the machine before set-up can begin: Node, Python with venv, a C++ compiler.
// Each one missing is named with the command that installs it.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

/** First line of what a program prints, or undefined when there is no such program or it fails. */
export function firstLine(program, ...args) {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0];
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "EACCES" || error.status !== undefined) return undefined;
    throw error;
  }
}

/** Whether version `found`, such as "20.19.1", is at least `least`, compared number by number. */
export function atLeast(found, least) {
  const [a, b] = [found, least].map((version) => version.split(".").map(Number));
  for (let i = 0; i < b.length; i++) {
    const difference = (a[i] ?? 0) - b[i];
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** The command that installs system packages here; each name may differ from one distribution to the next. */
function installs(names) {
  const sudo = process.getuid?.() === 0 ? "" : "sudo ";
  if (existsSync("/usr/bin/apt-get")) return `${sudo}apt-get install -y ${names.apt}`;
  if (existsSync("/usr/bin/dnf")) return `${sudo}dnf install -y ${names.dnf}`;
  if (existsSync("/usr/bin/pacman")) return `${sudo}pacman -S ${names.pacman}`;
  return `your system's package manager, package ${names.apt}`;
}

const pythonSays =
  "import sys, venv, ensurepip; print('.'.join(map(str, sys.version_info[:3])), sys.executable, sep=' ', end='')";
const pythonNames = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];

/** The first Python that will do, as { program, version }, or undefined. */
export function findPython(names = pythonNames) {
  for (const name of names) {
    const [version, program] = firstLine(name, "-c", pythonSays)?.split(" ") ?? [];
    if (version && atLeast(version, "3.10")) return { program, version };
  }
  return undefined;
}

const compilers = [process.env.CXX, "g++", "clang++"];

/** The first C++ compiler that will do, as { program, version }, or undefined. clang++ knows C++17 from 5 on; 12 is what we test. */
export function findCompiler(names = compilers) {
  for (const program of names) {
    if (!program) continue;
    const version = firstLine(program, "-dumpversion");
    if (version && atLeast(version, "12")) return { program, version };
  }
  return undefined;
}

/**
 * What is missing, one { what, found, install } for each; empty when all is there.
 *
 * @param machine - Only tests give one: what was found, in place of a look at this machine.
 */
export function missing(machine) {
  const node = machine?.node ?? process.versions.node;
  const python = machine ? machine.python : findPython();
  const compiler = machine ? machine.compiler : findCompiler();
  const list = [];
  if (!atLeast(node, "20.19")) {
    const sudo = process.getuid?.() === 0 ? "" : "sudo ";
    list.push({ what: "Node.js 20.19 or newer", found: node, install: `${sudo}npx --yes n 22` });
  }
  if (!python) {
    const found = firstLine("python3", "--version");
    const install = installs({ apt: "python3 python3-venv", dnf: "python3", pacman: "python" });
    list.push({ what: "Python 3.10 or newer with venv and ensurepip", found, install });
  }
  if (!compiler) {
    const found = firstLine("g++", "--version");
    list.push({
      what: "g++ 12 or newer (or clang++)",
      found,
      install: installs({ apt: "g++", dnf: "gcc-c++", pacman: "gcc" }),
    });
  }
  return list;
}

/** One line per missing thing, for people. */
export function describeMissing(list) {
  return list
    .map(({ what, found, install }) => `missing: ${what} (found: ${found ?? "none"})\n  install it with: ${install}`)
    .join("\n");
}
