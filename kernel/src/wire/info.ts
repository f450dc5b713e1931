// What this kernel says about itself: kernel_info, and the use of memory and processors.

import { readFileSync } from "node:fs";
import { cpus, freemem, hostname, totalmem } from "node:os";
import { type Content, protocolVersion } from "./message.js";

export interface Versions {
  readonly kernel: string;
  readonly typescript: string;
}

/** Read from package.json files, so that asking costs no start-up time of the compiler. */
export function readVersions(): Versions {
  const kernel = readVersion(new URL("../../package.json", import.meta.url));
  return { kernel, typescript: readVersion(new URL(import.meta.resolve("typescript/package.json"))) };
}

function readVersion(url: URL): string {
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}

export function kernelInfo({ kernel, typescript }: Versions): Content {
  return {
    status: "ok",
    protocol_version: protocolVersion,
    implementation: "tunebook",
    implementation_version: kernel,
    // No codemirror_mode: JupyterLab then picks its TypeScript highlighting by name and MIME type.
    language_info: {
      name: "typescript",
      version: typescript,
      mimetype: "application/typescript",
      file_extension: ".ts",
      pygments_lexer: "typescript",
    },
    banner: `Tunebook ${kernel}: TypeScript ${typescript} on Node.js ${process.versions.node}`,
    help_links: [
      { text: "TypeScript handbook", url: "https://www.typescriptlang.org/docs/handbook/intro.html" },
      { text: "Node.js", url: `https://nodejs.org/docs/latest-v${process.versions.node.split(".")[0]}.x/api/` },
    ],
    debugger: false,
    supported_features: [],
  };
}

/** Bytes and percent since the last call, as jupyter-resource-usage reads them. */
export class UsageMeter {
  #kernel = process.cpuUsage();
  #host = hostTimes();
  #at = performance.now();

  usage(): Content {
    const kernel = process.cpuUsage();
    const host = hostTimes();
    const at = performance.now();
    const spent = kernel.user + kernel.system - this.#kernel.user - this.#kernel.system; // microseconds
    const elapsed = Math.max(at - this.#at, 1); // milliseconds
    const total = host.total - this.#host.total;
    const busy = total - (host.idle - this.#host.idle);
    this.#kernel = kernel;
    this.#host = host;
    this.#at = at;
    const available = freemem();
    return {
      hostname: hostname(),
      pid: process.pid,
      kernel_cpu: (spent / 1000 / elapsed) * 100,
      kernel_memory: process.memoryUsage.rss(),
      cpu_count: cpus().length,
      host_cpu_percent: total > 0 ? (busy / total) * 100 : 0,
      host_virtual_memory: {
        total: totalmem(),
        available,
        percent: ((totalmem() - available) / totalmem()) * 100,
        used: totalmem() - available,
        free: available,
      },
    };
  }
}

function hostTimes(): { total: number; idle: number } {
  let total = 0;
  let idle = 0;
  for (const { times } of cpus()) {
    total += times.user + times.nice + times.sys + times.idle + times.irq;
    idle += times.idle;
  }
  return { total, idle };
}
