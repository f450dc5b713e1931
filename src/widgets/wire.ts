// What a view in a browser and the kernel say to each other, and the bytes of it. Used by both ends: channel.ts in the kernel,
// the extension in the page. Free of node modules.

import { tableFromArrays, tableFromIPC, tableToIPC } from "apache-arrow";
import type { Controls, MemoryBytes, TrainEvent } from "../train/events.js";
import type { RunState } from "./state.js";

export const RUN_MIME = "application/vnd.tunebook.run.v1+json";
/** Comm target of the kernel; a view opens a comm to it with `{ runId }`. */
export const RUN_TARGET = "tunebook.run";
/** Least time between two messages to one view: ten a second. */
export const SEND_MS = 100;

/** Content of RUN_MIME. */
export interface RunOutput {
  readonly runId: string;
  readonly target: typeof RUN_TARGET;
  readonly version: 1;
  readonly state: RunState;
}

/** View to kernel. `state` asks for all events from number `since` on, and for those to come. */
export type Request =
  | { readonly kind: "state"; readonly since: number }
  | { readonly kind: "pause" | "resume" | "stop" | "save" | "sample" | "picture" }
  | { readonly kind: "set"; readonly controls: Controls };

/** Events `from` to `from + count`, in order: see encodeEvents. */
export interface EventsReply {
  readonly kind: "events";
  readonly from: number;
  readonly count: number;
  /** Events that are not `updated`; `places[i]` is the place of `json[i]` among these `count`. */
  readonly json: readonly TrainEvent[];
  readonly places: readonly number[];
  /** Bytes held, where they change: from this row of the record batch on. */
  readonly memory: readonly { readonly row: number; readonly bytes: MemoryBytes }[];
}

/** Kernel to view. */
export type Reply =
  | EventsReply
  | { readonly kind: "unknown"; readonly runId: string }
  | { readonly kind: "error"; readonly request: string; readonly message: string }
  | { readonly kind: "picture"; readonly data: object; readonly metadata: object };

type Updated = Extract<TrainEvent, { kind: "updated" }>;

/**
 * Events as one message: `updated` as an Arrow IPC stream with one record batch, a row each, the rest as JSON.
 *
 *     update, tokens, trainedTokens i32     epoch, seconds, loss, learningRate, gradientNorm, tokensPerSecond f64
 *     lossScale f64, in f16 only
 *
 * f64, so that a NaN and the last digit arrive. No buffer when no event is `updated`.
 */
export function encodeEvents(
  events: readonly TrainEvent[],
  from: number,
): { readonly reply: EventsReply; readonly buffers: Uint8Array[] } {
  const rows: Updated[] = [];
  const json: TrainEvent[] = [];
  const places: number[] = [];
  const memory: { row: number; bytes: MemoryBytes }[] = [];
  events.forEach((event, i) => {
    if (event.kind !== "updated") {
      json.push(event);
      places.push(i);
      return;
    }
    const held = memory.at(-1)?.bytes;
    if (!held || !sameBytes(held, event.memory)) memory.push({ row: rows.length, bytes: event.memory });
    rows.push(event);
  });
  const reply: EventsReply = { kind: "events", from, count: events.length, json, places, memory };
  if (rows.length === 0) return { reply, buffers: [] };
  const table = tableFromArrays({
    update: Int32Array.from(rows, (row) => row.update),
    epoch: Float64Array.from(rows, (row) => row.epoch),
    tokens: Int32Array.from(rows, (row) => row.tokens),
    trainedTokens: Int32Array.from(rows, (row) => row.trainedTokens),
    seconds: Float64Array.from(rows, (row) => row.seconds),
    loss: Float64Array.from(rows, (row) => row.loss),
    learningRate: Float64Array.from(rows, (row) => row.learningRate),
    gradientNorm: Float64Array.from(rows, (row) => row.gradientNorm),
    tokensPerSecond: Float64Array.from(rows, (row) => row.tokensPerSecond),
    // Of one run all events have it or none.
    ...(rows[0]?.lossScale === undefined
      ? {}
      : { lossScale: Float64Array.from(rows, (row) => row.lossScale as number) }),
  });
  return { reply, buffers: [tableToIPC(table, "stream")] };
}

/**
 * The events of one message, as they were.
 *
 * @throws RangeError when rows and places do not add up to `count`.
 */
export function decodeEvents(reply: EventsReply, buffers: readonly (ArrayBufferView | ArrayBuffer)[]): TrainEvent[] {
  const table = buffers[0] === undefined ? undefined : tableFromIPC(bytesIn(buffers[0]));
  const rows = table?.numRows ?? 0;
  if (rows + reply.json.length !== reply.count) {
    throw new RangeError(`events: expected ${reply.count}, got ${rows} rows and ${reply.json.length} others`);
  }
  const column = (name: string) => table!.getChild(name)!.toArray() as ArrayLike<number>;
  const scales = table?.getChild("lossScale")?.toArray() as ArrayLike<number> | undefined;
  const columns = table && {
    update: column("update"),
    epoch: column("epoch"),
    tokens: column("tokens"),
    trainedTokens: column("trainedTokens"),
    seconds: column("seconds"),
    loss: column("loss"),
    learningRate: column("learningRate"),
    gradientNorm: column("gradientNorm"),
    tokensPerSecond: column("tokensPerSecond"),
  };
  const events: TrainEvent[] = [];
  let [row, other, held] = [0, 0, 0];
  for (let place = 0; place < reply.count; place++) {
    if (reply.places[other] === place) {
      events.push(reply.json[other]!);
      other += 1;
      continue;
    }
    while (reply.memory[held + 1] && reply.memory[held + 1]!.row <= row) held += 1;
    events.push({
      kind: "updated",
      update: columns!.update[row]!,
      seconds: columns!.seconds[row]!,
      loss: columns!.loss[row]!,
      learningRate: columns!.learningRate[row]!,
      gradientNorm: columns!.gradientNorm[row]!,
      trainedTokens: columns!.trainedTokens[row]!,
      tokens: columns!.tokens[row]!,
      tokensPerSecond: columns!.tokensPerSecond[row]!,
      epoch: columns!.epoch[row]!,
      memory: reply.memory[held]!.bytes,
      ...(scales ? { lossScale: scales[row]! } : {}),
    });
    row += 1;
  }
  return events;
}

/**
 * A view's message as a request.
 *
 * @throws TypeError with what came, when it is none.
 */
export function parseRequest(data: unknown): Request {
  const fields = typeof data === "object" && data !== null ? (data as Record<string, unknown>) : {};
  switch (fields["kind"]) {
    case "state": {
      const since = fields["since"];
      if (typeof since === "number" && Number.isInteger(since) && since >= 0) return { kind: "state", since };
      throw new TypeError(`state: expected \`since\` to be the number of an event, got ${JSON.stringify(since)}`);
    }
    case "pause":
    case "resume":
    case "stop":
    case "save":
    case "sample":
    case "picture":
      return { kind: fields["kind"] };
    case "set":
      return { kind: "set", controls: parseControls(fields["controls"]) };
    default:
      throw new TypeError(
        `expected a request (state, pause, resume, stop, save, sample, picture or set), got ${JSON.stringify(data)?.slice(0, 80)}`,
      );
  }
}

/** @throws TypeError naming the control that is wrong or unknown. */
export function parseControls(data: unknown): Controls {
  if (typeof data !== "object" || data === null) {
    throw new TypeError(`set: expected controls such as { learningRate: 1e-4 }, got ${JSON.stringify(data)}`);
  }
  for (const [name, value] of Object.entries(data)) {
    if (name !== "learningRate")
      throw new TypeError(`set: there is no control \`${name}\`; a running run has learningRate`);
    if (typeof value !== "number" || !(Number.isFinite(value) && value > 0)) {
      throw new TypeError(`set: expected \`learningRate\` to be a number above 0, got ${JSON.stringify(value)}`);
    }
  }
  return data as Controls;
}

function sameBytes(a: MemoryBytes, b: MemoryBytes): boolean {
  return (Object.keys(b) as (keyof MemoryBytes)[]).every((category) => a[category] === b[category]);
}

function bytesIn(buffer: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
