// Checkpoints as Meta publishes a Llama: consolidated.00.pth, which torch.save wrote, and params.json beside it. Next to read: shards.ts.

import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { JsonError, parseJson } from "../../data/json.js";
import { type Fields, reader } from "../configs/fields.js";
import { CheckpointError } from "./error.js";
import { byHalves } from "./pairs.js";
import type { StridedInfo, TensorFile } from "./tensors.js";
import { openTorch } from "./torch.js";

export const CONSOLIDATED = "consolidated.00.pth";

/** Hugging Face's names by Meta's; `*` is the layer. */
const names: Readonly<Record<string, string>> = {
  tok_embeddings: "model.embed_tokens",
  norm: "model.norm",
  output: "lm_head",
  "layers.*.attention_norm": "model.layers.*.input_layernorm",
  "layers.*.attention.wq": "model.layers.*.self_attn.q_proj",
  "layers.*.attention.wk": "model.layers.*.self_attn.k_proj",
  "layers.*.attention.wv": "model.layers.*.self_attn.v_proj",
  "layers.*.attention.wo": "model.layers.*.self_attn.o_proj",
  "layers.*.ffn_norm": "model.layers.*.post_attention_layernorm",
  "layers.*.feed_forward.w1": "model.layers.*.mlp.gate_proj",
  "layers.*.feed_forward.w2": "model.layers.*.mlp.down_proj",
  "layers.*.feed_forward.w3": "model.layers.*.mlp.up_proj",
};

/** Whether a file is named as one of Meta's. */
export function isConsolidated(file: string): boolean {
  return /^consolidated\.\d+\.pth$/.test(path.basename(file));
}

/**
 * Open Meta's checkpoint of a model in one file with Hugging Face's names; `metadata.config` is what config.json would say. Rows of q and k
 * are put in Hugging Face's order as they are read. `rope.freqs` is left out: it is computed here.
 *
 * @throws CheckpointError when the model lies in several files, params.json is missing or asks for what is not built, or a tensor has
 *   a name that no Llama has.
 * @see https://github.com/meta-llama/llama and transformers' convert_llama_weights_to_hf.py
 */
export async function openConsolidated(file: string): Promise<TensorFile> {
  const folder = path.dirname(file);
  const parts = (await readdir(folder)).filter(isConsolidated).length;
  if (parts > 1) {
    throw new CheckpointError(
      file,
      `it is one of ${parts} files of a model, and only Meta's models of one file are read; convert it with: python -m transformers.models.llama.convert_llama_weights_to_hf --input_dir ${folder} --output_dir ${folder}-hf`,
    );
  }
  const params = path.join(folder, "params.json");
  const fields = await readParams(params);
  const read = reader(fields, params);
  const heads = read.count("n_heads");
  const kvHeads = read.count("n_kv_heads", heads);
  let config: Fields = {};
  const opened = await openTorch(file, (tensors) => {
    config = configOf(read, tensors, file);
    return renamed(tensors, { file, params, heads, kvHeads });
  });
  return { ...opened, metadata: { config: JSON.stringify(config) } };
}

async function readParams(file: string): Promise<Fields> {
  try {
    const root = parseJson(await readFile(file, "utf8"));
    if (typeof root === "object" && root !== null && !Array.isArray(root)) return root as Fields;
  } catch (cause) {
    if (cause instanceof JsonError)
      throw new CheckpointError(`${file}:${cause.line}:${cause.column}`, cause.problem, { cause });
    const problem = `cannot be read, and ${CONSOLIDATED} needs it: ${(cause as Error).message}`;
    throw new CheckpointError(file, problem, { cause });
  }
  throw new CheckpointError(file, "expected a JSON object");
}

interface Sizes {
  readonly file: string;
  readonly params: string;
  readonly heads: number;
  readonly kvHeads: number;
}

function renamed(tensors: ReadonlyMap<string, StridedInfo>, { file, params, heads, kvHeads }: Sizes) {
  const result = new Map<string, StridedInfo>();
  for (const [stored, info] of tensors) {
    if (stored === "rope.freqs") continue;
    const layer = /^layers\.(\d+)\./.exec(stored)?.[1] ?? "";
    const known = names[stored.replace(/\.weight$/, "").replace(/^layers\.\d+\./, "layers.*.")];
    if (known === undefined) throw new CheckpointError(file, "no Llama of Meta's has it", { tensor: stored });
    const name = `${known.replace("*", layer)}.weight`;
    const turned = name.endsWith("q_proj.weight") ? heads : name.endsWith("k_proj.weight") ? kvHeads : 0;
    if (turned > 0 && (info.shape.length !== 2 || (info.shape[0] as number) % (2 * turned) !== 0)) {
      throw new CheckpointError(
        file,
        `it has shape [${info.shape.join(", ")}], ${path.basename(params)} says rows of ${turned} heads, each an even number`,
        { tensor: stored },
      );
    }
    const moved = { ...info, name };
    result.set(name, turned > 0 ? byHalves(moved, turned, info.walk?.strides) : moved);
  }
  return result;
}

/** What params.json leaves out is in the shapes; the context, in neither, is that of the published models with these settings. */
function configOf(read: ReturnType<typeof reader>, tensors: ReadonlyMap<string, StridedInfo>, file: string): Fields {
  read.only(
    "use_scaled_rope",
    [undefined, false],
    "false (stretched positions: convert the model to Hugging Face's layout)",
  );
  read.only("moe", [undefined], "absent (experts are not supported)");
  read.only("sliding_window", [undefined], "absent or null (windows are not supported)");
  const shape = (name: string): readonly number[] => {
    const found = tensors.get(name)?.shape;
    if (found?.length === 2) return found;
    throw new CheckpointError(file, found ? `it has shape [${found.join(", ")}]` : "it is missing", { tensor: name });
  };
  const [vocab] = shape("tok_embeddings.weight") as [number];
  const [intermediate] = shape("layers.0.feed_forward.w1.weight") as [number];
  const [queryRows] = shape("layers.0.attention.wq.weight") as [number];
  const heads = read.count("n_heads");
  const eps = read.positive("norm_eps", 1e-5);
  const theta = read.positive("rope_theta", 10000);
  const context = theta === 1e6 ? 16384 : theta > 10000 ? 8192 : eps === 1e-6 ? 2048 : 4096; // Code Llama, Llama 3, 1, 2
  const isLlama3 = vocab >= 128256;
  return {
    model_type: "llama",
    vocab_size: vocab,
    hidden_size: read.count("dim"),
    intermediate_size: intermediate,
    num_hidden_layers: read.count("n_layers"),
    num_attention_heads: heads,
    num_key_value_heads: read.count("n_kv_heads", heads),
    head_dim: queryRows / heads,
    rms_norm_eps: eps,
    rope_theta: theta,
    max_position_embeddings: read.count("max_seq_len", context),
    tie_word_embeddings: !tensors.has("output.weight"),
    bos_token_id: isLlama3 ? 128000 : 1,
    eos_token_id: isLlama3 ? 128001 : 2,
  };
}
