// The folder of a run: options.json, events.jsonl, checkpoints/ and at the end adapter/. Next to read: checkpoint.ts.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "../model/weights/index.js";
import { type Checkpoint, checkpointsOf, findCheckpoint } from "./checkpoint.js";
import type { TrainEvent } from "./events.js";
import { readEvents } from "./log.js";
import type { ResolvedOptions } from "./options.js";

/** What stands in options.json. */
export interface RunFile {
  readonly runId: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export const runFiles = { options: "options.json", events: "events.jsonl", adapter: "adapter" };

export interface RunPlace {
  readonly id: string;
  readonly folder: string;
  /** Folder that `resume` names, or undefined for a run from the start. */
  readonly from: string | undefined;
}

/**
 * Where a run lives and what it is called: a resumed one keeps its name.
 *
 * @throws RangeError when the output folder holds a run already, and neither `resume` nor `overwrite` is given.
 */
export function placeRun(options: ResolvedOptions, resume: boolean | string | undefined): RunPlace {
  const id = newId();
  const from = resume === true ? options.outputFolder : resume === false ? undefined : resume;
  const inside = from !== undefined && /^step-\d+$/.test(path.basename(from)) ? path.dirname(path.dirname(from)) : from;
  const folder = options.outputFolder ?? inside ?? path.join("runs", id);
  const known = readRunFile(folder);
  if (from !== undefined) return { id: known?.runId ?? id, folder, from };
  if (known && !options.overwrite) {
    throw new RangeError(
      `train: ${folder} holds the run ${known.runId}; go on with it by \`resume: true\`, start anew by \`overwrite: true\`, or name another outputFolder`,
    );
  }
  return { id, folder, from };
}

/** Such as 20261121-093000-4f2a: sorts by time. */
function newId(): string {
  const time = new Date().toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  return `${time}-${randomBytes(2).toString("hex")}`;
}

function readRunFile(folder: string): RunFile | undefined {
  const file = path.join(folder, runFiles.options);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as RunFile;
  } catch (cause) {
    throw new RangeError(`${file}: expected the options of a run as JSON: ${(cause as Error).message}`, { cause });
  }
}

export interface OpenedFolder {
  /** To go on from; undefined for a run from the start. */
  readonly checkpoint: Checkpoint | undefined;
  /** What the run told up to that checkpoint. */
  readonly events: readonly TrainEvent[];
}

/**
 * Make the folder ready and write options.json.
 *
 * @throws RangeError when `resume` names a folder without a checkpoint. With `resume: true` such a run starts at its beginning,
 *   so that the same call can be made again and again.
 */
export async function openRunFolder(
  { id, folder, from }: RunPlace,
  file: RunFile["options"],
  resume: boolean | string | undefined,
): Promise<OpenedFolder> {
  const checkpoint = from === undefined ? undefined : await findCheckpoint(from);
  if (typeof resume === "string" && !checkpoint) {
    throw new RangeError(
      `train: ${from} holds no checkpoint to resume from; expected the folder of a run or of one checkpoint`,
    );
  }
  await mkdir(folder, { recursive: true });
  if (!checkpoint) await rm(checkpointsOf(folder), { recursive: true, force: true });
  const earlier = checkpoint ? await eventsBefore(checkpoint, folder) : [];
  await writeRunFile({ id, folder }, file);
  return { checkpoint, events: earlier };
}

/** Write options.json. */
export async function writeRunFile(
  { id, folder }: Pick<RunPlace, "id" | "folder">,
  options: RunFile["options"],
): Promise<void> {
  const text = `${JSON.stringify({ runId: id, options } satisfies RunFile, undefined, 2)}\n`;
  await replaceFile(path.join(folder, runFiles.options), [new TextEncoder().encode(text)]);
}

async function eventsBefore({ state }: Checkpoint, folder: string): Promise<TrainEvent[]> {
  let events: TrainEvent[];
  try {
    events = await readEvents(path.join(folder, runFiles.events));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const ends = ["stopped", "failed"];
  const saved = events.findLastIndex(
    (event) => event.kind === "saved" && event.what === "checkpoint" && event.update === state.update,
  );
  // What was skipped since then is skipped again.
  const again = (event: TrainEvent, i: number) => event.kind === "skipped" && saved >= 0 && i > saved;
  return events.filter((event, i) => event.update <= state.update && !ends.includes(event.kind) && !again(event, i));
}
