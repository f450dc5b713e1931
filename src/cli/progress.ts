// How far a command is, on stderr: a bar in a terminal, a line from time to time in a log. A run has its own, widgets/terminal.ts.

import { Presets, SingleBar } from "cli-progress";

/** Least milliseconds between two lines of a log. */
const LINE_EVERY = 5000;

export interface Progress {
  /** How many are done, and of how many. */
  count(done: number, total: number): void;
  stop(): void;
}

/** @param what - What is being done to what is counted: "tensors merged". */
export function progressOf(what: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY ? barOf(what, stream) : linesOf(what, stream);
}

function barOf(what: string, stream: NodeJS.WriteStream): Progress {
  const format = `{bar} {percentage}%  {value}/{total} ${what}`;
  const bar = new SingleBar({ format, stream, hideCursor: true, barsize: 24, fps: 4 }, Presets.shades_classic);
  return {
    count(done, total) {
      if (!bar.isActive) bar.start(total, done);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}

function linesOf(what: string, stream: NodeJS.WriteStream): Progress {
  let writtenAt = performance.now();
  return {
    count(done, total) {
      if (done < total && performance.now() - writtenAt < LINE_EVERY) return;
      writtenAt = performance.now();
      stream.write(`${done}/${total} ${what}\n`);
    },
    stop() {},
  };
}
