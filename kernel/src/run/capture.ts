// process.stdout and process.stderr of the main thread write to the cell that is running. Output of a thread or child
// process reaches them through Node.js streams and is routed the same way; native code that writes to file descriptors is not.

import { type CellContext, cellOfPromise, outputCell } from "./context.js";
import type { StreamName } from "./streams.js";

type Callback = (error?: Error | null) => void;

export function captureOutput(): void {
  captureStream("stdout");
  captureStream("stderr");
}

function captureStream(name: StreamName): void {
  const stream = process[name];
  const terminal = stream.write.bind(stream) as (chunk: Uint8Array | string) => boolean;
  const decoder = new TextDecoder();
  const write = (chunk: Uint8Array | string, encoding?: BufferEncoding | Callback, callback?: Callback): boolean => {
    const done = typeof encoding === "function" ? encoding : callback;
    const cell = outputCell();
    // Before the first cell there is nobody but the terminal of the server.
    if (!cell) terminal(chunk);
    else cell.streams.write(name, typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true }));
    if (done) process.nextTick(done);
    return true;
  };
  stream.write = write as typeof stream.write;
}

/** Errors nobody waits for go to the stderr of their cell; the kernel lives on. */
export function captureFailures(describe: (error: unknown) => string): void {
  const report = (cell: CellContext | undefined, error: unknown, how: string) => {
    const text = `${how}\n${describe(error)}\n`;
    if (cell) cell.streams.write("stderr", text);
    else process.stderr.write(text);
  };
  process.on("unhandledRejection", (reason, promise) => {
    const cell = cellOfPromise(promise);
    // What an interrupted cell leaves behind was meant to end.
    if (!cell?.interrupted) report(cell, reason, "A promise that nothing awaits was rejected:");
  });
  process.on("uncaughtException", (error) => report(outputCell(), error, "An error that nothing catches was thrown:"));
}
