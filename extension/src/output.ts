// The notebook output of a run, as light as a page's start must be: the rest is loaded with the first output. Next: follower.ts.

import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { Widget } from "@lumino/widgets";
import type { Follower } from "./follower.js";

export interface OutputServices {
  readonly notebooks: INotebookTracker | undefined;
  /** Called when a running run is first seen in a notebook, so that a reload finds its output in the file. */
  readonly keep: (panel: NotebookPanel) => void;
}

export class RunOutputWidget extends Widget implements IRenderMime.IRenderer {
  readonly #services: OutputServices;
  #follower: Follower | undefined;

  constructor(services: OutputServices) {
    super();
    this.#services = services;
    this.addClass("tb-output");
  }

  /** Called for the first and for every updated bundle of this output. */
  async renderModel(mime: IRenderMime.IMimeModel): Promise<void> {
    const { Follower } = await import("./follower.js");
    if (this.isDisposed) return;
    this.#follower ??= new Follower(this.node, this.#services);
    this.#follower.show(mime);
  }

  override dispose(): void {
    if (this.isDisposed) return;
    this.#follower?.dispose();
    super.dispose();
  }

  protected override onAfterAttach(): void {
    this.#follower?.attached();
  }
}
