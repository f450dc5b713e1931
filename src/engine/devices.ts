// Which devices this machine has, and which one is used. Next to read: cpu.ts, cuda.ts.

import { type Device, EngineError } from "./device.js";

/**
 * "auto" takes the first of cuda, cpu and tfjs that opens; "cuda" is the first GPU, "cuda:1" the second; "reference" is slow, in f64, and
 * judges the others.
 */
export type DeviceName = "auto" | OpenName;
type OpenName = keyof typeof openers | `cuda:${number}`;

/** Imported when first asked for: TensorFlow.js alone takes longer to load than all the rest. */
const openers = {
  cuda: async () => (await import("./cuda.js")).cudaDevice(),
  cpu: async () => (await import("./cpu.js")).cpuDevice(),
  tfjs: async () => (await import("./tfjs/index.js")).tfjsDevice(),
  reference: async () => (await import("./reference/index.js")).referenceDevice(),
} as const satisfies Readonly<Record<string, () => Promise<Device>>>;

/** Order of "auto". */
const preferred = ["cuda", "cpu", "tfjs"] as const;

/** Devices of this process, so that two models share threads. A failed opening is forgotten: the next call tries again. */
const opened = new Map<OpenName, Promise<Device>>();

export interface DeviceReport {
  readonly name: OpenName;
  /** What it is, or why it cannot be used. */
  readonly description: string;
  readonly usable: boolean;
  /** Whether "auto" takes it. */
  readonly chosen: boolean;
}

/**
 * The device of that name, opened once per process.
 *
 * @throws EngineError when it cannot be opened; for "auto", with the reason of each.
 */
export async function openDevice(name: DeviceName = "auto"): Promise<Device> {
  if (name !== "auto") {
    if (!Object.hasOwn(openers, name) && !/^cuda:\d+$/.test(name)) {
      throw new EngineError(
        `expected \`device\` to be auto, ${Object.keys(openers).join(", ")} or cuda:<number>, got ${JSON.stringify(name)}`,
      );
    }
    return open(name);
  }
  const reasons: string[] = [];
  for (const candidate of preferred) {
    try {
      return await open(candidate);
    } catch (error) {
      reasons.push(`${candidate}: ${(error as Error).message}`);
    }
  }
  throw new EngineError(`no device can be used\n${reasons.join("\n")}`);
}

/** What was found, in the order of preference, and why each can or cannot be used. */
export async function listDevices(): Promise<readonly DeviceReport[]> {
  const reports: DeviceReport[] = [];
  for (const name of preferred) {
    const chosen = !reports.some((report) => report.usable);
    try {
      const device = await open(name);
      const now = device.describeNow ? `\n${device.describeNow()}` : "";
      reports.push({ name, description: device.info.description + now, usable: true, chosen });
      if (name === "cuda") reports.push(...(await import("./cuda.js")).otherGpus());
    } catch (error) {
      reports.push({ name, description: (error as Error).message, usable: false, chosen: false });
    }
  }
  return reports;
}

async function open(asked: OpenName): Promise<Device> {
  const name = asked === "cuda:0" ? "cuda" : asked;
  let device = opened.get(name);
  if (!device) {
    device = openerOf(name)();
    opened.set(name, device);
    device.catch(() => opened.delete(name));
  }
  return device;
}

function openerOf(name: OpenName): () => Promise<Device> {
  if (Object.hasOwn(openers, name)) return openers[name as keyof typeof openers];
  const gpu = Number(name.slice("cuda:".length));
  return async () => (await import("./cuda.js")).cudaDevice({ gpu });
}
