// Text in, token ids out: tokenizers, the templates that say which tokens are trained, and batches of them.

export { type Batch, type BatchOptions, batches, lengthOf, type Source } from "./batch.js";
export { type ChatMessage, type ChatOptions, type ChatTemplate, loadChatTemplate } from "./chat-template.js";
export { TokenizerError } from "./error.js";
export { type Context, causal, contextOf, contextPlaces, contextRange, type Form, promptIn } from "./form.js";
export { loadTokenizer } from "./load.js";
export { StreamDecoder } from "./stream.js";
export {
  applyTemplate,
  type Encoded,
  encodeRows,
  renderPrompt,
  type Template,
  type TemplateName,
  type TemplateOptions,
  templates,
} from "./template.js";
export type { EncodeOptions, Tokenizer } from "./tokenizer.js";
