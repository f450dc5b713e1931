// Which devices this machine has, and which one is used. Next to read: cpu.ts.

import { type Device, EngineError } from "./device.js";

/** "auto" takes the first of cpu and tfjs that opens; "reference" is slow, in f64, and judges the others. */
export type DeviceName = "auto" | "cpu" | "tfjs" | "reference";

/** Imported when first asked for: TensorFlow.js alone takes longer to load than all the rest. */
const openers: Readonly<Record<Exclude<DeviceName, "auto">, () => Promise<Device>>> = {
  cpu: async () => (await import("./cpu.js")).cpuDevice(),
  tfjs: async () => (await import("./tfjs/index.js")).tfjsDevice(),
  reference: async () => (await import("./reference/index.js")).referenceDevice(),
};

/** Order of "auto". */
const preferred = ["cpu", "tfjs"] as const;

/** Devices of this process, so that two models share threads. A failed opening is forgotten: the next call tries again. */
const opened = new Map<Exclude<DeviceName, "auto">, Promise<Device>>();

export interface DeviceReport {
  readonly name: Exclude<DeviceName, "auto">;
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
    if (!Object.hasOwn(openers, name)) {
      throw new EngineError(
        `expected \`device\` to be auto, ${Object.keys(openers).join(", ")}, got ${JSON.stringify(name)}`,
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
      const { description } = (await open(name)).info;
      reports.push({ name, description, usable: true, chosen });
    } catch (error) {
      reports.push({ name, description: (error as Error).message, usable: false, chosen: false });
    }
  }
  return reports;
}

async function open(name: Exclude<DeviceName, "auto">): Promise<Device> {
  let device = opened.get(name);
  if (!device) {
    device = openers[name]();
    opened.set(name, device);
    device.catch(() => opened.delete(name));
  }
  return device;
}
