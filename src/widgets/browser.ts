// What a page may import: the state of a run, its words and its wire, without a node module. The extension is built on this.

export { type Category, categories } from "../engine/program.js";
export type { Answer, Controls, Finding, MemoryBytes, TrainEvent } from "../train/events.js";
export { axisEnd } from "./axis.js";
export * from "./format.js";
export * from "./series.js";
export * from "./state.js";
export { memoryColours } from "./svg-memory.js";
export * from "./text.js";
export * from "./wire.js";
