// Layers that their authors' own code computed, from outside the repository: one of ChatGLM-6B, and T5's encoder by torchtune.

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Arena, type Category, neutralUniforms } from "../../src/engine/index.js";
import { referenceDevice } from "../../src/engine/reference/index.js";
import { layOut, planProgram, Trace } from "../../src/graph/index.js";
import { openSafetensors, parseConfig, sourceInputs } from "../../src/model/index.js";
import { expectClose } from "../close.js";
import { tinyModel } from "../model/tiny.js";
import { forward } from "./forward.js";

const folder = fileURLToPath(new URL("../../../shared/assets/fixtures", import.meta.url));
const absent = existsSync(folder) ? "" : " (skipped: ../shared/assets/fixtures is not there)";

/** The matrix that leaves hidden states as they are. */
function identity(size: number): Float32Array {
  return Float32Array.from({ length: size * size }, (_, i) => Number(i % (size + 1) === 0));
}

describe.skipIf(absent)(`one layer of ChatGLM-6B by its authors' code${absent}`, () => {
  test("gives their hidden states, the context read in both directions and two tokens after it", async () => {
    const file = await openSafetensors(`${folder}/glm_tiny_layer1.safetensors`);
    const read = async (name: string) => {
      const { data } = await file.tensor(name);
      return data.slice().buffer;
    };
    const size = 32; // hidden, and here the vocabulary too: its head is the identity, so that scores are hidden states
    const stored = new Map<string, Float32Array>([["lm_head.weight", identity(size)]]);
    for (const name of file.tensors.keys()) {
      if (!name.startsWith("ref.")) stored.set(`transformer.${name}`, new Float32Array(await read(name)));
    }
    const words = new Float32Array(size * size);
    words.set(stored.get("transformer.word_embeddings.weight") as Float32Array);
    stored.set("transformer.word_embeddings.weight", words);
    const config = parseConfig({
      ...{ model_type: "chatglm", vocab_size: size, hidden_size: size, inner_hidden_size: 128, num_layers: 1 },
      ...{ num_attention_heads: 8, position_encoding_2d: true, bos_token_id: 20, eos_token_id: 21 },
    });
    const device = referenceDevice();
    const model = await tinyModel(device, { config, values: ({ name }) => stored.get(name) as Float32Array });
    const ids: number[] = [];
    const expected: number[] = [];
    for (const part of [1, 2, 3]) {
      ids.push(...new Int32Array(await read(`ref.x${part}`)));
      expected.push(...new Float32Array(await read(`ref.y${part}`)));
    }
    const { logits } = await forward(model, [{ ids, context: { length: 2, blank: 1 } }]);
    expectClose(logits[0] as Float32Array, expected, { absolute: 2e-5, relative: 2e-5 });
  });
});

interface Encoder {
  readonly params: Readonly<Record<string, readonly (readonly number[])[] | readonly number[]>>;
  readonly input_ids: readonly number[][];
  readonly output: readonly number[][][];
}

describe.skipIf(absent)(`a T5 encoder of two blocks by torchtune${absent}`, () => {
  test("gives its hidden states", async () => {
    const { params, input_ids, output } = JSON.parse(readFileSync(`${folder}/t5_encoder_tiny.json`, "utf8")) as Encoder;
    const parts = { "attn.q_proj": "layer.0.SelfAttention.q", "attn.k_proj": "layer.0.SelfAttention.k" } as const;
    const more = { "attn.v_proj": "layer.0.SelfAttention.v", "attn.output_proj": "layer.0.SelfAttention.o" } as const;
    const rest = { "mlp.w1": "layer.1.DenseReluDense.wi_0", "mlp.w3": "layer.1.DenseReluDense.wi_1" } as const;
    const last = { "mlp.w2": "layer.1.DenseReluDense.wo" } as const;
    const names = new Map([
      ["shared.weight", "token_embedding.weight"],
      ["encoder.final_layer_norm.weight", "final_norm.scale"],
      [
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "relative_position_bias.embedding.weight",
      ],
    ]);
    for (const block of [0, 1]) {
      for (const [theirs, ours] of Object.entries({ ...parts, ...more, ...rest, ...last })) {
        names.set(`encoder.block.${block}.${ours}.weight`, `layers.${block}.${theirs}.weight`);
      }
      names.set(`encoder.block.${block}.layer.0.layer_norm.weight`, `layers.${block}.sa_norm.scale`);
      names.set(`encoder.block.${block}.layer.1.layer_norm.weight`, `layers.${block}.mlp_norm.scale`);
    }
    const config = parseConfig({
      ...{ model_type: "t5", vocab_size: 512, d_model: 2, d_kv: 1, d_ff: 4, num_heads: 2, num_layers: 2 },
      ...{ num_decoder_layers: 1, relative_attention_num_buckets: 4, relative_attention_max_distance: 4 },
      ...{ feed_forward_proj: "gated-gelu", layer_norm_epsilon: 1e-6 },
    });
    const device = referenceDevice();
    // The keys that decoding would keep are the hidden states themselves: their projection is the identity.
    const model = await tinyModel(device, {
      config,
      values: ({ name, shape }) => {
        const found = names.get(name);
        if (found) return Float32Array.from((params[found] as number[]).flat());
        return name.endsWith("EncDecAttention.k.weight")
          ? identity(2)
          : new Float32Array(shape.reduce((a, b) => a * b));
      },
    });
    const [rows, seq] = [input_ids.length, (input_ids[0] as number[]).length];
    const trace = new Trace();
    model.encode(trace, sourceInputs(trace, rows, seq));
    const cache = layOut(
      "cache",
      [...trace.tensors].filter(({ place }) => place === "state"),
    );
    const placements = new Map([...model.placements, ...cache.placements]);
    const { program, find } = planProgram(trace, { name: "encode", device, placements });
    const own = (["cache", "activations", "workspace", "io"] as const).map((category) =>
      device.allocate(category, program.arenaBytes[category]),
    );
    const arenas: Partial<Record<Category, Arena>> = Object.fromEntries(own.map((arena) => [arena.category, arena]));
    const inputs = {
      "source.ids": input_ids.flat(),
      "source.positions": Array.from({ length: rows * seq }, (_, i) => i % seq),
      "source.ranges": Array.from({ length: 2 * rows * seq }, (_, i) => (i % 2) * seq),
      "source.rows": Array.from({ length: rows * seq }, (_, i) => i),
    };
    for (const [name, values] of Object.entries(inputs)) {
      await arenas.io?.write(find(name).offset, new Uint8Array(Int32Array.from(values).buffer));
    }
    await (await device.compile(program, { ...arenas, weights: model.weights.arena })).run(neutralUniforms);
    const bytes = await arenas.cache?.read(find("source.0.k").offset, rows * seq * 2 * 4);
    const kept = new Float32Array((bytes as Uint8Array).slice().buffer);
    expect(kept.length).toBe(output.flat(2).length);
    expectClose(kept, output.flat(2), { absolute: 1e-5, relative: 1e-5 });
  });
});
