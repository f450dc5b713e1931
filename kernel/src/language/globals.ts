// Types of what every cell finds without importing it, and of the module "tslab". Their values are in run/globals.ts
// and run/tslab.ts.

export const globalsFile = "tunebook-globals.d.ts";

export const globalTypes = `
interface DisplayOptions {
  /** Names the output, so that a later call with update: true redraws it in place. */
  displayId?: string;
  update?: boolean;
  metadata?: Record<string, unknown>;
}
/** Show a value in the output of this cell: its Symbol.for("Jupyter.display") bundle, or as text. A promise when that is one. */
declare function display(value: unknown, options?: DisplayOptions): void | Promise<void>;
/** Ask the person at the notebook for a line of text. */
declare function input(prompt?: string, options?: { password?: boolean }): Promise<string>;
/** Ask the person at the notebook for a line of text. */
declare function prompt(message?: string): Promise<string>;
/** Remove the output of this cell; with wait, when the next output comes. */
declare function clearOutput(options?: { wait?: boolean }): void;

declare module "tslab" {
  export interface Display {
    javascript(code: string): void;
    html(text: string): void;
    markdown(text: string): void;
    latex(text: string): void;
    svg(text: string): void;
    png(bytes: Uint8Array): void;
    jpeg(bytes: Uint8Array): void;
    gif(bytes: Uint8Array): void;
    pdf(bytes: Uint8Array): void;
    text(text: string): void;
    raw(mimeType: string, content: string | Uint8Array): void;
  }
  export const display: Display;
  /** A display that redraws one output. */
  export function newDisplay(): Display;
  export const versions: { tslab: string; typescript: string; node: string };
}
`;
