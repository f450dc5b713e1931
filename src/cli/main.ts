#!/usr/bin/env node
// The `tunebook` command. One file per subcommand; flags come from the options tables of the rooms they belong to.

import { createRequire } from "node:module";
import { Command } from "commander";
import { addDevices } from "./devices.js";
import { addExport } from "./export.js";
import { addGenerate } from "./generate.js";
import { addMerge } from "./merge.js";
import { addPlan } from "./plan.js";
import { describeError, exitCodeOf } from "./report.js";
import { addTargets } from "./targets.js";
import { addTrain } from "./train.js";

const { version, description } = createRequire(import.meta.url)("../../package.json") as {
  version: string;
  description: string;
};

const program = new Command("tunebook").description(description).version(version).showHelpAfterError();
addTrain(program);
addGenerate(program);
addMerge(program);
addExport(program);
addTargets(program);
addPlan(program);
addDevices(program);

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
