// Text in, token ids out: tokenizers, the templates that say which tokens are trained, and batches of them.

export { TokenizerError } from "./error.js";
export { loadTokenizer } from "./load.js";
export { StreamDecoder } from "./stream.js";
export type { EncodeOptions, Tokenizer } from "./tokenizer.js";
