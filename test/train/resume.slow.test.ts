// A run that is killed at a random moment and resumed gives the adapter of the run that was not.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { openDevice } from "../../src/engine/devices.js";
import { readEvents } from "../../src/train/index.js";
import { temporaryFolder } from "./tiny-run.js";

const child = path.join(import.meta.dirname, "resume-child.ts");

/** Train into a folder; with `kill`, SIGKILL the process some milliseconds after that update. @returns the exit code, or the signal */
async function trainIn(
  device: string,
  folder: string,
  kill?: { readonly update: number; readonly after: number },
): Promise<number | string | null> {
  const started = spawn(process.execPath, ["--import", "tsx", child, folder, device], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | string | null>((resolve) =>
    started.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  for await (const line of createInterface(started.stdout)) {
    if (Number(line) !== kill?.update) continue;
    await setTimeout(kill.after);
    started.kill("SIGKILL");
  }
  return ended;
}

/** The device people train on, or where it cannot be opened the slow one. */
const devices = [
  await openDevice("cpu").then(
    ({ name }) => name,
    () => "reference",
  ),
];

test.each(devices)(
  "kill -9 at random moments, then resume: the final adapter is byte-identical on %s",
  { timeout: 120_000 },
  async (device) => {
    const [whole, broken] = [path.join(temporaryFolder(), "run"), path.join(temporaryFolder(), "run")];
    expect(await trainIn(device, whole)).toBe(0);
    const kills = [1 + Math.floor(Math.random() * 8), 10 + Math.floor(Math.random() * 8)].map((update) => ({
      update,
      after: Math.random() * 15, // an update with its checkpoint takes about as long
    }));
    for (const kill of kills)
      expect(await trainIn(device, broken, kill), `killed ${JSON.stringify(kill)}`).toBe("SIGKILL");
    expect(await trainIn(device, broken)).toBe(0);
    const bytes = (folder: string) => readFileSync(path.join(folder, "adapter", "adapter_model.safetensors"));
    expect(bytes(broken).equals(bytes(whole)), `killed ${JSON.stringify(kills)}`).toBe(true);
    const losses = async (folder: string) =>
      (await readEvents(path.join(folder, "events.jsonl"))).flatMap((event) =>
        event.kind === "updated" ? [event.loss] : [],
      );
    expect(await losses(broken)).toEqual(await losses(whole));
  },
);
