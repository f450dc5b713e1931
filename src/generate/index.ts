// A model and a prompt go in; tokens come out as they are made. Read generate.ts, generator.ts, sample.ts.

export { type CompareOptions, compare, comparisonSampler, planComparison } from "./compare.js";
export { type AnswerOptions, answer, generate, generateText, type Task } from "./generate.js";
export { type GeneratedToken, type GenerateOptions, openGenerator, promptIds, TextGenerator } from "./generator.js";
export { capacityFor, type GenerationPlan, planGeneration } from "./plan.js";
export { type Sampled, type SampleOptions, sampleToken } from "./sample.js";
