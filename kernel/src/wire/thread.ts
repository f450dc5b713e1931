// The thread that owns the sockets: signs, sends in order, beats the heart, and answers what must be answered while
// a cell keeps the main thread busy (info, completion, usage, interrupt, shutdown). Started by run/kernel.ts.

import { writeSync } from "node:fs";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { CodeAndCursor, LanguageMethods } from "../language/methods.js";
import { createSigner, decodeMessage, encodeMessage, WireError } from "./frames.js";
import { kernelInfo, readVersions, UsageMeter } from "./info.js";
import type { Channel, Content, Message, ToMain, ToWire, WireStart } from "./message.js";
import { Outbox } from "./outbox.js";
import { createCaller } from "./rpc.js";
import { bindSockets, type Sockets } from "./sockets.js";
import { Watchdog } from "./watchdog.js";

type Answer = (message: Message) => Content | Promise<Content>;

const { asked, connection, language: languagePort, session } = workerData as WireStart;
const port = parentPort as MessagePort;
const signer = createSigner(connection.key, connection.signature_scheme);
const language = createCaller<LanguageMethods>(languagePort);
const versions = readVersions();
const meter = new UsageMeter();
const watchdog = new Watchdog({ asked, ping: (id) => toMain({ kind: "ping", id }) });
let lastResort: NodeJS.Timeout | undefined;
const outboxes = new Map<Channel, Outbox>();
let shutdown:
  | { readonly channel: Channel; readonly message: Message | undefined; readonly restart: boolean }
  | undefined;

/** Requests that need no main thread, by channel and then type. */
const answers: Record<string, Answer> = {
  kernel_info_request: () => kernelInfo(versions),
  usage_request: () => meter.usage(),
  complete_request: async ({ content }) => ({
    ...(await language.call("complete", content as unknown as CodeAndCursor)),
  }),
  inspect_request: async ({ content }) => ({
    ...(await language.call("inspect", content as unknown as CodeAndCursor)),
  }),
  is_complete_request: async ({ content }) => ({ ...(await language.call("isComplete", content as { code: string })) }),
};

let sockets: Sockets;
try {
  sockets = await bindSockets(connection);
  for (const channel of ["shell", "control", "stdin", "iopub"] as const) {
    outboxes.set(channel, new Outbox(sockets[channel], (error) => log(`${channel}: ${error}`)));
  }
  run(beat(), "heartbeat");
  run(welcome(), "iopub");
  for (const channel of ["shell", "control", "stdin"] as const) run(receive(channel), channel);
  port.on("message", handle);
  send("iopub", "status", { execution_state: "starting" });
  toMain({ kind: "ready" });
  watchParent();
} catch (error) {
  toMain({ kind: "failed", reason: `cannot bind the ports of the connection file: ${error}` });
}

function handle(message: ToWire): void {
  switch (message.kind) {
    case "send": {
      const { channel, type, content, parent, ...rest } = message.outgoing;
      send(channel, type, content, { parent, ...rest });
      return;
    }
    case "pong":
      watchdog.pong(message.id);
      return;
    case "fence":
      // Ten milliseconds: what clients sent before they could see this cell's fate is still on its way to us.
      setTimeout(() => toMain({ kind: "fenced", id: message.id }), 10);
      return;
    case "disposed":
      killLater();
      run(finish(), "shutdown");
      return;
    default:
      message satisfies never;
  }
}

async function receive(channel: "shell" | "control" | "stdin"): Promise<void> {
  for await (const frames of sockets[channel]) {
    try {
      dispatch(channel, decodeMessage(frames, signer));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      log(`${channel}: dropped a message: ${error.message}`);
    }
  }
}

function dispatch(channel: Channel, message: Message): void {
  const type = message.header.msg_type;
  const answer = answers[type];
  if (answer) run(reply(channel, message, answer), type);
  else if (type === "interrupt_request") run(interrupt(channel, message), type);
  else if (type === "shutdown_request") beginShutdown({ channel, message, restart: message.content.restart === true });
  else toMain({ kind: "request", channel, message });
}

async function reply(channel: Channel, message: Message, answer: Answer): Promise<void> {
  const parent = message.header;
  send("iopub", "status", { execution_state: "busy" }, { parent });
  let content: Content;
  try {
    content = { status: "ok", ...(await answer(message)) };
  } catch (error) {
    content = { status: "error", ename: "KernelError", evalue: String(error), traceback: [] };
  }
  send(channel, replyType(message), content, { parent, identities: message.identities });
  send("iopub", "status", { execution_state: "idle" }, { parent });
}

/** The reply comes first: it says that the interrupt was taken, not that the cell has ended. */
async function interrupt(channel: Channel, message: Message): Promise<void> {
  await reply(channel, message, () => ({}));
  toMain({ kind: "interrupt" });
  await watchdog.ensureResponsive();
}

function beginShutdown(request: NonNullable<typeof shutdown>): void {
  if (shutdown) return;
  shutdown = request;
  toMain({ kind: "interrupt" });
  toMain({ kind: "shutdown", restart: request.restart });
  run(watchdog.ensureResponsive(), "shutdown");
  killLater();
}

/** A native call that never returns cannot be terminated; the process has to go all the same. */
function killLater(): void {
  clearTimeout(lastResort);
  lastResort = setTimeout(() => process.kill(process.pid, "SIGKILL"), 4000);
}

async function finish(): Promise<void> {
  const message = shutdown?.message;
  const parent = message?.header ?? {};
  const content = { status: "ok", restart: shutdown?.restart ?? false };
  if (message && shutdown) {
    send("iopub", "status", { execution_state: "busy" }, { parent });
    send(shutdown.channel, "shutdown_reply", content, { parent, identities: message.identities });
  }
  send("iopub", "shutdown_reply", content, { parent });
  send("iopub", "status", { execution_state: "idle" }, { parent });
  await Promise.all([...outboxes.values()].map((outbox) => outbox.drained()));
  sockets.close();
  toMain({ kind: "closed" });
}

async function beat(): Promise<void> {
  for await (const frames of sockets.heartbeat) await sockets.heartbeat.send(frames);
}

/** Tell every new subscriber that output reaches it from now on. */
async function welcome(): Promise<void> {
  for await (const [frame] of sockets.iopub) {
    if (frame?.[0] !== 1) continue;
    const subscription = frame.subarray(1);
    const { frames } = encodeMessage(
      { channel: "iopub", type: "iopub_welcome", content: { subscription: subscription.toString() }, parent: {} },
      session,
      signer,
    );
    outboxes.get("iopub")?.push([subscription, ...frames]);
  }
}

interface SendOptions {
  readonly parent?: Message["parent"];
  readonly identities?: readonly Uint8Array[];
  readonly metadata?: Content;
  readonly buffers?: readonly Uint8Array[];
}

function send(channel: Channel, type: string, content: Content, { parent = {}, ...rest }: SendOptions = {}): void {
  const topic = channel === "iopub" ? { identities: [Buffer.from(`kernel.${session}.${type}`)] } : {};
  const { frames } = encodeMessage({ channel, type, content, parent, ...rest, ...topic }, session, signer);
  outboxes.get(channel)?.push(frames);
}

function replyType(message: Message): string {
  return message.header.msg_type.replace(/_request$/, "_reply");
}

function toMain(message: ToMain): void {
  port.postMessage(message);
}

/** A kernel whose server died has nobody to talk to. */
function watchParent(): void {
  const parent = process.ppid;
  if (!process.env.JPY_PARENT_PID) return;
  setInterval(() => {
    if (process.ppid !== parent) beginShutdown({ channel: "control", message: undefined, restart: false });
  }, 1000).unref();
}

function run(work: Promise<void>, name: string): void {
  work.catch((error) => log(`${name}: ${error instanceof Error ? error.stack : error}`));
}

/** Straight to the server's terminal: a worker's console would wait for the main thread. */
function log(text: string): void {
  writeSync(2, `tunebook kernel: ${text}\n`);
}
