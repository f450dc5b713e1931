// Follows the run of one notebook output: takes the saved state from the file, finds the kernel of its notebook, keeps a view.

import type { ISessionContext } from "@jupyterlab/apputils";
import type { NotebookPanel } from "@jupyterlab/notebook";
import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { hasEnded, type Request, RUN_MIME, type RunOutput, type RunState } from "tunebook/widgets/browser";
import { Connections, type RunConnection } from "./connection.js";
import type { Line, RunModel } from "./model.js";
import type { OutputServices } from "./output.js";
import { render } from "./view.js";

/** How long an ended run's own last picture is waited for before it is fetched for the file. */
const PICTURE_MS = 3000;

const connections = new Connections();

export class Follower implements RunModel {
  readonly #node: HTMLElement;
  readonly #services: OutputServices;
  readonly #listeners = new Set<() => void>();
  #mime: IRenderMime.IMimeModel | undefined;
  #saved: RunOutput | undefined;
  #held: { connection: RunConnection; release: () => void; unsubscribe: () => void } | undefined;
  #context: ISessionContext | undefined;
  #panel: NotebookPanel | undefined;
  #remove: (() => void) | undefined;
  #fetch: ReturnType<typeof setTimeout> | undefined;

  #disposed = false;

  constructor(node: HTMLElement, services: OutputServices) {
    this.#node = node;
    this.#services = services;
  }

  get state(): RunState {
    const connection = this.#held?.connection;
    return connection && connection.heard > 0 ? connection.state : this.#saved!.state;
  }

  get line(): Line {
    if (hasEnded(this.#saved!.state.status) && !this.#held) return "saved";
    return this.#held?.connection.line ?? "gone";
  }

  get refusal(): string {
    return this.#held?.connection.refusal ?? "";
  }

  ask(request: Request): void {
    this.#held?.connection.ask(request);
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called for the first and for every updated bundle of this output. */
  show(mime: IRenderMime.IMimeModel): void {
    const before = this.#saved?.runId;
    this.#mime = mime;
    const output = mime.data[RUN_MIME] as unknown as RunOutput | undefined;
    if (output?.version !== 1 || typeof output.runId !== "string") {
      this.#node.textContent =
        "This output was written by another version of Tunebook. Its picture is in the notebook file.";
      return;
    }
    this.#saved = output;
    if (before !== undefined && before !== output.runId) this.#disconnect();
    this.#connect();
    this.#remove ??= render(this, this.#node);
    this.#changed();
  }

  /** The output was put into a page, perhaps another place than before. */
  attached(): void {
    this.#connect();
  }

  dispose(): void {
    this.#disposed = true;
    this.#disconnect();
    this.#leave();
    this.#remove?.();
    this.#listeners.clear();
  }

  /** Attach to the kernel of the notebook this output is in, while its run may still be going. */
  #connect(): void {
    if (!this.#node.isConnected || !this.#saved) return;
    this.#find();
    const kernel = this.#context?.session?.kernel;
    if (this.#held && this.#held.connection.kernel === kernel) return;
    if (hasEnded(this.state.status)) return;
    this.#disconnect();
    if (!kernel || kernel.isDisposed) return;
    const { connection, release } = connections.acquire(this.#saved.runId, kernel);
    let kept = false;
    const unsubscribe = connection.onChange(() => {
      if (!kept && connection.line === "live" && this.#panel) {
        kept = true;
        if (!hasEnded(connection.state.status)) this.#services.keep(this.#panel);
      }
      this.#bringFileUpToDate(connection);
      this.#changed();
    });
    this.#held = { connection, release, unsubscribe };
  }

  #disconnect(): void {
    clearTimeout(this.#fetch);
    this.#fetch = undefined;
    this.#held?.unsubscribe();
    this.#held?.release();
    this.#held = undefined;
  }

  /** After a reload the kernel's redraws no longer reach this output: fetch the last picture, once the run has ended. */
  #bringFileUpToDate(connection: RunConnection): void {
    if (this.#fetch !== undefined || !hasEnded(connection.state.status)) return;
    this.#fetch = setTimeout(async () => {
      if (hasEnded(this.#saved!.state.status)) return;
      const { data, metadata } = await connection.picture();
      if (this.#disposed || !this.#mime || data[RUN_MIME] === undefined) return;
      this.#mime.setData({ data: data as never, metadata: metadata as never });
    }, PICTURE_MS);
  }

  #find(): void {
    const panel = this.#services.notebooks?.find((candidate) => candidate.node.contains(this.#node));
    if (!panel || panel.sessionContext === this.#context) return;
    this.#leave();
    this.#panel = panel;
    this.#context = panel.sessionContext;
    this.#context.kernelChanged.connect(this.#kernelChanged, this);
  }

  #leave(): void {
    this.#context?.kernelChanged.disconnect(this.#kernelChanged, this);
    this.#context = undefined;
    this.#panel = undefined;
  }

  #kernelChanged(): void {
    this.#connect();
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
