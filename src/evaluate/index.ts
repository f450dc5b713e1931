// Is it better? A model and rows go in, numbers come out. Side-by-side answers are in generate/compare.ts.

export { type ExactItem, type ExactMatch, type ExactOptions, exactMatch } from "./exact.js";
export { evaluateLoss, type Loss, type LossOptions } from "./loss.js";
