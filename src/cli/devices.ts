// `tunebook devices`: what was found, what will be used and why.

import type { Command } from "commander";
import { type DeviceReport, listDevices } from "../engine/devices.js";

export function addDevices(program: Command): void {
  program
    .command("devices")
    .description("List the devices of this machine, and which one is used")
    .action(async () => {
      for (const report of await listDevices()) {
        const { name, description, chosen } = report;
        console.log(
          `${chosen ? "*" : " "} ${name.padEnd(6)} ${verdictOn(report)}\n         ${description.replaceAll("\n", "\n         ")}`,
        );
      }
    });
}

function verdictOn({ name, usable, chosen }: DeviceReport): string {
  if (!usable) return "cannot be used";
  if (chosen) return "used unless another is asked for";
  return name.startsWith("cuda:") ? "usable" : "usable, slower";
}
