// What the CUDA engine says of this machine, and the sentences made of it. Next to read: cuda.ts.

/** A GPU that the driver shows, opened or not. */
export interface Gpu {
  readonly index: number;
  readonly name: string;
  /** Compute capability. */
  readonly major: number;
  readonly minor: number;
  readonly bytes: number;
  readonly multiprocessors: number;
}

/** What was found without opening anything. */
export interface Found {
  /** Why there is no GPU to use, when the driver cannot be used at all. */
  readonly reason?: string;
  /** CUDA version the driver knows, and its own. */
  readonly cuda?: string;
  readonly release?: string;
  readonly gpus: readonly Gpu[];
}

/** Values that NVIDIA's management library tells; null where it does not. */
export interface Meters {
  readonly usedBytes: number | null;
  readonly totalBytes: number | null;
  /** Part of the last moments in which a kernel ran, 0 to 1. */
  readonly utilisation: number | null;
  readonly watts: number | null;
  readonly celsius: number | null;
  readonly processes: readonly { readonly pid: number; readonly bytes: number | null; readonly name: string }[] | null;
}

/** Of an open GPU, now. */
export interface GpuState {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** null without the management library. */
  readonly meters: Meters | null;
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** "NVIDIA H200, compute capability 9.0, 132 multiprocessors, 139.8 GiB, driver 580.12 (CUDA 13.0)" */
export function describeGpu({ name, major, minor, bytes, multiprocessors }: Gpu, { cuda, release }: Found): string {
  const driver = `driver ${release || "of unknown version"} (CUDA ${cuda})`;
  return `${name}, compute capability ${major}.${minor}, ${multiprocessors} multiprocessors, ${gibibytes(bytes)}, ${driver}`;
}

/** "123 of 456 bytes are free; memory is held by python (pid 7): 1.0 GiB" */
export function describeMemory({ freeBytes, totalBytes, meters }: GpuState, own = process.pid): string {
  const free = `${freeBytes} of ${totalBytes} are free on the GPU`;
  if (!meters?.processes) return `${free}; which processes hold memory is not available (no NVML)`;
  const others = meters.processes.filter(({ pid }) => pid !== own);
  if (others.length === 0) return `${free}; NVML shows no other process on it`;
  const list = others.map(
    ({ pid, bytes, name }) => `${name || "a process"} (pid ${pid}): ${bytes === null ? "unknown" : gibibytes(bytes)}`,
  );
  return `${free}; memory is held by ${list.join(", ")}`;
}

/** One line of meters for people: "used 3.1 of 139.8 GiB, 40 % busy, 310 W, 55 °C"; what is not known says so. */
export function describeMeters({ meters }: GpuState): string {
  if (!meters) return "memory in use, utilisation, power and temperature: not available (no NVML)";
  const { usedBytes, totalBytes, utilisation, watts, celsius } = meters;
  const show = (value: number | null, text: (known: number) => string, what: string) =>
    value === null ? `${what} not available` : text(value);
  return [
    show(usedBytes, (used) => `used ${gibibytes(used)} of ${gibibytes(totalBytes ?? 0)}`, "memory in use"),
    show(utilisation, (part) => `${Math.round(part * 100)} % busy`, "utilisation"),
    show(watts, (value) => `${Math.round(value)} W`, "power"),
    show(celsius, (value) => `${value} °C`, "temperature"),
  ].join(", ");
}
