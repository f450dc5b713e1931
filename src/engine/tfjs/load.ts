// Finds a TensorFlow.js: the user's native one if there is one, else the plain JavaScript one this package brings.

import { EngineError } from "../device.js";

export type Tf = typeof import("@tensorflow/tfjs");
export type Tensor = import("@tensorflow/tfjs").Tensor;
export type Tensor4D = import("@tensorflow/tfjs").Tensor4D;

/** Fastest first. The first two are the user's to install: they fetch their binary when installed. */
const packages = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node", "@tensorflow/tfjs"] as const;

export interface Loaded {
  readonly tf: Tf;
  /** Which package and backend, and which packages are installed but could not be used. */
  readonly description: string;
}

/**
 * The first package that loads.
 *
 * @param load - Imports a package by name. @default the module loader's import
 * @throws EngineError with the reason of each when none does.
 */
export async function loadTf(load: (name: string) => Promise<unknown> = (name) => import(name)): Promise<Loaded> {
  const broken: string[] = [];
  for (const name of packages) {
    try {
      const module = (await load(name)) as Tf & { readonly default?: Tf };
      const tf = module.default ?? module;
      await tf.ready();
      silenceBanner(tf);
      const notes = broken.filter((note) => !note.endsWith("not installed")).map((note) => `; ${note}`);
      return { tf, description: `${name} ${tf.version["tfjs"]}, backend ${tf.getBackend()}${notes.join("")}` };
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
      broken.push(`${name}: ${missing ? "not installed" : (error as Error).message.split("\n")[0]}`);
    }
  }
  throw new EngineError(
    `no TensorFlow.js can be loaded: ${broken.join("; ")}; \`npm install @tensorflow/tfjs\` brings one`,
  );
}

/** The plain backend prints advice with its first tensor, unless it believes to be in production just then. */
function silenceBanner(tf: Tf): void {
  const before = tf.env().getBool("PROD");
  tf.env().set("PROD", true);
  tf.scalar(0).dispose();
  tf.env().set("PROD", before);
}
