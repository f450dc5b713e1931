// Measuring a run: memory so far. A device comes in, bytes come out.

export * from "./flops.js";
export * from "./memory.js";
