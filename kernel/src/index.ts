// What other packages may use: the Host that cells find under globalThis[hostKey], and the installer of the kernelspec.

export { type InstallOptions, installKernelspec } from "./install/install.js";
export {
  type Comm,
  type CommHandlers,
  type DisplayOptions,
  hostKey,
  type MimeBundle,
  type NotebookHost,
} from "./run/host.js";
