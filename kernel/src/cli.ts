#!/usr/bin/env node
// `tunebook-kernel run FILE` is what Jupyter starts; `tunebook-kernel install` tells Jupyter about it.

import { Command } from "commander";

const program = new Command("tunebook-kernel").description("The TypeScript Jupyter kernel of Tunebook");

program
  .command("run")
  .argument("<connection_file>", "written by Jupyter")
  .description("serve a connection file until told to stop")
  .action(async (file: string) => (await import("./run/kernel.js")).runKernel(file));

program
  .command("install")
  .description("write the kernelspec where Jupyter looks for it")
  .option("--sys-prefix", "into the active Python environment, else that of python3")
  .option("--user", "into the user's Jupyter folder (default)")
  .option("--prefix <dir>", "into DIR/share/jupyter")
  .action(async (options: { sysPrefix?: boolean; user?: boolean; prefix?: string }) => {
    const { installKernelspec } = await import("./install/install.js");
    try {
      console.log(`Installed: ${installKernelspec(options)}`);
    } catch (error) {
      program.error(error instanceof Error ? error.message : String(error));
    }
  });

await program.parseAsync();
