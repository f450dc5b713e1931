// The main thread of a kernel: starts the wire and language threads, hands messages to those who answer them, and ends.
// Next to read: executor.ts for cells, comms.ts for widgets.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { MessageChannel, Worker } from "node:worker_threads";
import type { LanguageMethods, LanguageStart, Typecheck } from "../language/methods.js";
import type { Connection, Content, Message, Outgoing, ToMain, ToWire, WireStart } from "../wire/message.js";
import { createCaller } from "../wire/rpc.js";
import { captureFailures, captureOutput } from "./capture.js";
import { Comms } from "./comms.js";
import { describe } from "./errors.js";
import { Executor } from "./executor.js";
import { installGlobals, Questions } from "./globals.js";
import { History } from "./history.js";
import { createHost, hostKey } from "./host.js";
import { Modules } from "./modules.js";
import { CellPlaces } from "./places.js";
import { tidyPromises } from "./render.js";
import { Shutdown } from "./shutdown.js";
import { prepareUnwind } from "./unwind.js";
import { silenceOwnWarnings } from "./warnings.js";

/** Serve the connection file until a client or signal ends the kernel. */
export function runKernel(connectionFile: string): void {
  const connection = JSON.parse(readFileSync(connectionFile, "utf8")) as Connection;
  const folder = process.cwd();
  silenceOwnWarnings();
  const lines = { main: new MessageChannel(), wire: new MessageChannel() };
  const languageThread = startThread(
    "../language/thread.js",
    {
      folder,
      ports: [lines.main.port2, lines.wire.port2],
    } satisfies LanguageStart,
    [lines.main.port2, lines.wire.port2],
  );
  const wire = startThread(
    "../wire/thread.js",
    { asked: prepareUnwind(), connection, language: lines.wire.port1, session: randomUUID() } satisfies WireStart,
    [lines.wire.port1],
  );

  const toWire = (message: ToWire) => wire.postMessage(message);
  const send = (outgoing: Outgoing) => toWire({ kind: "send", outgoing });
  const fences = new Map<number, () => void>();
  let lastFence = 0;
  const fence = () =>
    new Promise<void>((resolve) => {
      lastFence += 1;
      fences.set(lastFence, resolve);
      toWire({ kind: "fence", id: lastFence });
    });

  const places = new CellPlaces(folder);
  const comms = new Comms(send);
  const questions = new Questions(send);
  const history = new History(process.env.TUNEBOOK_HISTORY);
  const shutdown = new Shutdown({ wire, toWire });
  const executor = new Executor({
    send,
    language: createCaller<LanguageMethods>(lines.main.port1),
    modules: new Modules({ folder, serveLoader: (port) => languageThread.postMessage(port, [port]) }),
    places,
    history,
    folder,
    typecheck: typecheckOf(process.env.TUNEBOOK_TYPECHECK),
    fence,
  });

  Object.defineProperty(globalThis, hostKey, { value: createHost(comms, (dispose) => shutdown.onShutdown(dispose)) });
  installGlobals(questions);
  captureOutput();
  captureFailures(describe);
  places.mapStackTraces();
  tidyPromises();
  process.on("SIGTERM", () => shutdown.begin());
  shutdown.guardExit();

  const requests: Record<string, (message: Message) => void> = {
    execute_request: (message) => executor.push(message),
    input_reply: (message) => questions.receive(message),
    comm_open: (message) => answered(send, message, () => comms.receive(message)),
    comm_msg: (message) => answered(send, message, () => comms.receive(message)),
    comm_close: (message) => answered(send, message, () => comms.receive(message)),
    comm_info_request: (message) => answered(send, message, () => comms.info(message.content.target_name)),
    history_request: (message) => answered(send, message, () => history.answer(message.content)),
  };

  wire.on("message", (message: ToMain) => {
    switch (message.kind) {
      case "ready":
        return;
      case "failed":
        process.stderr.write(`tunebook kernel: ${message.reason}\n`);
        shutdown.leave(1);
        return;
      case "request": {
        const { message: request } = message;
        const handler = requests[request.header.msg_type];
        if (handler) handler(request);
        else answered(send, request, () => undefined);
        return;
      }
      case "interrupt":
        executor.interrupt();
        return;
      case "ping":
        toWire({ kind: "pong", id: message.id });
        return;
      case "fenced":
        fences.get(message.id)?.();
        fences.delete(message.id);
        return;
      case "shutdown":
        shutdown.begin();
        return;
      case "closed":
        shutdown.leave(0);
        return;
      default:
        message satisfies never;
    }
  });
}

/** Busy, the work, its reply if it gives one, idle. An error is printed: the sender of a comm message hears no reply. */
function answered(send: (outgoing: Outgoing) => void, message: Message, work: () => unknown): void {
  const parent = message.header;
  const status = (execution_state: string) =>
    send({ channel: "iopub", type: "status", content: { execution_state }, parent });
  status("busy");
  try {
    const content = work();
    const type = parent.msg_type.replace(/_request$/, "_reply");
    if (content) send({ channel: "shell", type, content: content as Content, parent, identities: message.identities });
  } catch (error) {
    console.error(error);
  }
  status("idle");
}

function startThread(path: string, workerData: unknown, transferList: MessageChannel["port1"][]): Worker {
  const worker = new Worker(new URL(path, import.meta.url), { workerData, transferList });
  worker.on("error", (error) => {
    process.stderr.write(`tunebook kernel: ${path} ended: ${error.stack}\n`);
    process.exitCode = 1;
    process.kill(process.pid, "SIGKILL");
  });
  return worker;
}

function typecheckOf(value = "error"): Typecheck {
  if (value === "error" || value === "warn" || value === "off") return value;
  process.stderr.write(
    `tunebook kernel: TUNEBOOK_TYPECHECK: expected "error", "warn" or "off", got "${value}"; using "error"\n`,
  );
  return "error";
}
