// The engine, lower half: Programs go in, numbers come out. graph/ makes the Programs.

export * from "./device.js";
export * from "./dtype.js";
export * from "./ops.js";
export * from "./program.js";
export * from "./quantized.js";
export * from "./random.js";
export * from "./sketch.js";
