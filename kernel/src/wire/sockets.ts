// The five sockets of a kernel, bound to the ports of the connection file. Next: thread.ts.

import { Reply, Router, XPublisher } from "zeromq";
import type { Connection } from "./message.js";

export interface Sockets {
  readonly shell: Router;
  readonly control: Router;
  readonly stdin: Router;
  readonly iopub: XPublisher;
  readonly heartbeat: Reply;
  close(): void;
}

/** @throws Error when a port is taken. */
export async function bindSockets(connection: Connection): Promise<Sockets> {
  const { transport, ip } = connection;
  const at = (port: number) => (transport === "ipc" ? `ipc://${ip}-${port}` : `${transport}://${ip}:${port}`);
  // Replies to a client that is gone must not wait, and output must not be dropped when the reader is slow.
  const shell = new Router({ linger: 1000, sendHighWaterMark: 0, receiveHighWaterMark: 0 });
  const control = new Router({ linger: 1000, sendHighWaterMark: 0, receiveHighWaterMark: 0 });
  const stdin = new Router({ linger: 1000, sendHighWaterMark: 0, receiveHighWaterMark: 0 });
  const iopub = new XPublisher({ linger: 1000, sendHighWaterMark: 0, verbosity: "allSubs" });
  const heartbeat = new Reply({ linger: 0 });
  const sockets = [shell, control, stdin, iopub, heartbeat];
  const close = () => {
    for (const socket of sockets) if (!socket.closed) socket.close();
  };
  try {
    await Promise.all([
      shell.bind(at(connection.shell_port)),
      control.bind(at(connection.control_port)),
      stdin.bind(at(connection.stdin_port)),
      iopub.bind(at(connection.iopub_port)),
      heartbeat.bind(at(connection.hb_port)),
    ]);
  } catch (error) {
    close();
    throw error;
  }
  return { shell, control, stdin, iopub, heartbeat, close };
}
