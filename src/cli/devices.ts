// `tunebook devices`: what was found, what will be used and why.

import type { Command } from "commander";
import { listDevices } from "../engine/devices.js";

export function addDevices(program: Command): void {
  program
    .command("devices")
    .description("List the devices of this machine, and which one is used")
    .action(async () => {
      for (const { name, description, usable, chosen } of await listDevices()) {
        const verdict = chosen ? "used unless another is asked for" : usable ? "usable, slower" : "cannot be used";
        console.log(`${chosen ? "*" : " "} ${name.padEnd(6)} ${verdict}\n         ${description}`);
      }
    });
}
