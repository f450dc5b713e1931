// `npm run bench`: our LoRA step and decoding beside PyTorch + PEFT's, in turns, on this machine. Next to read: compare.ts.
//
//     --quick        few turns: to see that it works
//     --only TEXT    only jobs whose name contains it, such as "135M train" or "bf16"; may be given several times
//     --threads N    threads of each side; 2 where left out
//     --write        also append the result to docs/bench.md, unless other work kept the machine busy
//     --list         only the names of the jobs

import { appendFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Comparison, compare } from "./compare.js";
import { busyPart, readMachine } from "./machine.js";
import { benchPython } from "./python.js";
import { jobName, jobs } from "./shapes.js";
import { comparisonTable, section } from "./table.js";

/** Other work on the machine up to this part of its processors is noise; above it, the result is not written down. */
const QUIET = 0.1;

const page = join(resolve(import.meta.dirname, "..", ".."), "docs", "bench.md");

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    threads: { type: "string", default: "2" },
    write: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const threads = Number(values.threads);
if (!Number.isInteger(threads) || threads < 1) {
  throw new RangeError(`bench: expected --threads to be a whole number from 1, got ${values.threads}`);
}
const all = jobs(threads);
const chosen = all.filter((job) => values.only.length === 0 || values.only.some((text) => jobName(job).includes(text)));
if (chosen.length === 0) {
  throw new RangeError(
    `bench: no job's name contains ${values.only.join(" or ")}; there are ${all.map(jobName).join(", ")}`,
  );
}

if (values.list) {
  console.log(chosen.map(jobName).join("\n"));
} else {
  const turns = values.quick ? 3 : 11;
  const turnSeconds = values.quick ? 0.2 : 0.5;
  const python = await benchPython();
  const machine = await readMachine(threads);
  const done: Comparison[] = [];
  let busy = 0;
  for (const job of chosen) {
    const before = await busyPart();
    busy = Math.max(busy, before);
    const warning = before > QUIET ? `; other work keeps the machine ${Math.round(100 * before)} % busy` : "";
    console.error(`bench: ${jobName(job)} (${done.length + 1} of ${chosen.length})${warning}`);
    const comparison = await compare(job, { turns, turnSeconds, python });
    done.push(comparison);
    console.error(comparisonTable([comparison], machine).split("\n").at(-1));
  }
  const settings = `${turns} turns of each side, medians with least and most; machine ${Math.round(100 * busy)} % busy with other work at most`;
  const text = section(new Date().toISOString().slice(0, 10), settings, machine, done);
  console.log(text);
  if (values.write) {
    if (busy > QUIET) {
      throw new Error(
        `bench: not written: the machine was ${Math.round(100 * busy)} % busy with other work, expected at most ${100 * QUIET} %; run it again when it is quiet`,
      );
    }
    await appendFile(page, `\n${text}`);
  }
}
