// The JupyterLab plugin: draws outputs of application/vnd.tunebook.run.v1+json. Read output.ts next, then view.ts.

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { RunOutputWidget } from "./output.js";

/** As in tunebook's widgets/wire.ts, which is loaded with the first output and not with the page. */
const mimeType = "application/vnd.tunebook.run.v1+json";
/** Before HTML (50), SVG (80) and PNG (90), which are the same run as a still picture. */
const rank = 0;

const plugin: JupyterFrontEndPlugin<void> = {
  id: "tunebook-extension:runs",
  description: "Training runs in notebook outputs, live and with controls",
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [INotebookTracker],
  activate(app: JupyterFrontEnd, rendermime: IRenderMimeRegistry, notebooks: INotebookTracker | null) {
    const services = {
      notebooks: notebooks ?? undefined,
      keep: (panel: NotebookPanel) => void keep(app, panel),
    };
    rendermime.addFactory(
      { safe: true, mimeTypes: [mimeType], createRenderer: () => new RunOutputWidget(services) },
      rank,
    );
  },
};

/**
 * Save the notebook as autosave would, but now: what is not in the file when the page is reloaded is lost, and a run whose
 * output is lost cannot be followed again. Not where the user has switched autosave off.
 */
async function keep(app: JupyterFrontEnd, panel: NotebookPanel): Promise<void> {
  const { context } = panel;
  const autosave = "docmanager:toggle-autosave";
  if (app.commands.hasCommand(autosave) && !app.commands.isToggled(autosave)) return;
  if (context.model.readOnly || !context.model.dirty || context.contentsModel?.writable === false) return;
  await context.save();
}

export default plugin;
