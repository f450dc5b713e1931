// The `tunebook` command as a user has it: a process with arguments, stdout, stderr and an exit code.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root, tunebook } from "./tunebook.js";

const stories = path.resolve(root, process.env.TUNEBOOK_SHARED ?? "../shared", "assets/models/stories260k");
const withStories = test.skipIf(!existsSync(stories)); // skipped: the model stories260k is not on this machine

/** config.json of Llama 2 7B, without the fields that say nothing about shapes. */
const llama7b = {
  model_type: "llama",
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  max_position_embeddings: 4096,
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tunebook-cli-"));
  writeFileSync(path.join(folder, "config.json"), JSON.stringify(llama7b));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("tunebook plan", () => {
  test("plans a 7B model from its config.json alone, to the byte", async () => {
    const { code, stdout } = await tunebook("plan", folder, "--dtype", "bf16", "--batch-size", "1");
    expect(stdout).toContain("6,738,415,616 parameters"); // as published for Llama 2 7B
    // LoRA of rank 8 on 7 matrices of 32 layers: 32 * 8 * (4 * (4096 + 4096) + 3 * (4096 + 11008)) numbers of 4 bytes
    expect(stdout).toMatch(/trained +76\.3 MiB +79,953,920 B/);
    expect(stdout).toMatch(/gradients +76\.3 MiB +79,953,920 B/);
    expect(stdout).toMatch(/optimizer +15[23] MiB +159,907,840 B/);
    expect(code).toBe(0);
  });

  test("counts linear layers in few bits as loading would hold them", async () => {
    const { code, stdout } = await tunebook(
      "plan",
      folder,
      "--dtype",
      "bf16",
      "--quantize",
      "nf4",
      "--batch-size",
      "1",
    );
    expect(stdout).toContain("6,738,415,616 parameters in bf16, linear layers in nf4 on ");
    // A layer's matrices: half a byte a number, a byte for 64 of them, 4 bytes a row. The rest: embedding, head, norms, angles.
    const [h, m] = [4096, 11008];
    const linears = 32 * ((4 * h * h + 3 * h * m) * (1 / 2 + 1 / 64) + 4 * (5 * h + 2 * m));
    const rest = 2 * (2 * 32000 * h + 65 * h) + 2 * 4 * 4096 * 64;
    expect(stdout).toMatch(new RegExp(`weights .* ${(linears + rest).toLocaleString("en")} B`));
    expect(code).toBe(0);
  });

  test("chooses what is fastest within a budget, and says what the alternatives need", async () => {
    const { code, stdout } = await tunebook("plan", folder, "--dtype", "bf16", "--budget", "16GiB");
    expect(stdout).toMatch(/^fits 16\.0 GiB, with [\d.]+ [MG]iB to spare$/m);
    expect(stdout).toMatch(/^an update: 4 rows of 512 tokens, [12] at once in [24] passes$/m);
    expect(stdout).toMatch(/^layers: \d+ keep all values, \d+ compute their feed-forward again, \d+ all of it$/m);
    expect(stdout).toMatch(/^ {2}everything kept +4 at once +2[\d.]+ GiB +time x 1\.00 +does not fit$/m);
    expect(stdout).toMatch(/^ {2}every layer computed again +4 at once +1[3-5]\.\d GiB +time x 1\.[1-4]\d$/m);
    expect(stdout).toMatch(/ {2}whole run +training +evaluation +generation$/m);
    expect(code).toBe(0);
  });

  test("ends with code 1 when there is no way, and says what would fit", async () => {
    const { code, stdout } = await tunebook("plan", folder, "--dtype", "bf16", "--budget", "13.1GiB");
    expect(stdout).toMatch(/^does not fit 13\.1 GiB: [\d.]+ MiB too much$/m);
    expect(stdout).toMatch(/^would fit: `maxTokens: \d+`$/m);
    expect(code).toBe(1);
  });

  test("says so when nothing would fit", async () => {
    const { code, stdout } = await tunebook("plan", folder, "--dtype", "bf16", "--budget", "8GB", "--batch-size", "1");
    expect(stdout).toMatch(/^would fit: a smaller model, dtype or rank: weights and what trains take 12\.\d GiB$/m);
    expect(code).toBe(1);
  });
});

describe("tunebook targets", () => {
  test("lists the layers that can carry LoRA, from config.json alone", async () => {
    const { code, stdout } = await tunebook("targets", folder);
    expect(stdout).toMatch(
      /^q_proj +model\.layers\.\*\.self_attn\.q_proj +32 of \[4096, 4096\] +536,870,912 +2,097,152$/m,
    );
    expect(stdout).toMatch(/^all of them: 19,988,480 numbers train, 0\.297 % of the model's 6,738,415,616$/m);
    expect(code).toBe(0);
  });
});

describe("tunebook devices", () => {
  test("marks one device as used, and gives a reason for each other", async () => {
    const { code, stdout } = await tunebook("devices");
    expect(stdout.match(/^\* /gm)).toHaveLength(1);
    expect(stdout).toMatch(/^[* ] cpu +(used unless another is asked for|usable, slower|cannot be used)\n {9}\S/m);
    expect(stdout).toMatch(/^[* ] tfjs +(used unless another is asked for|usable, slower|cannot be used)\n {9}\S/m);
    expect(code).toBe(0);
  });
});

describe("an error of the library", () => {
  test.each<[string, string[], string]>([
    ["a folder that is not there", ["generate", "no/such/model", "--prompt", "x"], "no/such/model"],
    ["a config file that is not there", ["train", "no/such.json"], "no/such.json: cannot be read"],
    ["an option that does not hold", ["plan", ".", "--batch-size", "0"], "expected an integer of at least 1"],
    ["a model that is not there", ["targets", "no/such/model"], "no/such/model: there is no such folder"],
    ["bytes that are none", ["plan", ".", "--budget", "lots"], "expected bytes such as 24GB"],
  ])("%s: is one message without a stack on stderr, nothing on stdout, code 1", async (_, args, message) => {
    const { code, stdout, stderr } = await tunebook(...args);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });
});

describe("tunebook train CONFIG", () => {
  const write = (fields: object) => {
    const file = path.join(folder, "job.json");
    writeFileSync(file, JSON.stringify(fields));
    return file;
  };

  withStories("trains, says what came of it, and prints the adapter's folder alone on stdout", async () => {
    const rows = Array.from({ length: 12 }, (_, i) => ({ text: `Tom has ${i} red balls.` }));
    writeFileSync(path.join(folder, "rows.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
    const job = { model: stories, data: "rows.jsonl", dtype: "f32", lora: { rank: 4 }, outputFolder: "run", epochs: 9 };
    const { code, stdout, stderr } = await tunebook("train", write(job), "--max-steps", "3", "--learning-rate", "1e-3");
    expect(stderr).toMatch(/loss +\d\.\d+ -> \d\.\d+ +\(3 updates/);
    expect(stderr).toMatch(/peak memory +planned [\d.]+ [KM]iB, actual [\d.]+ [KM]iB/);
    expect(stdout).toBe(`${path.join(folder, "run", "adapter")}\n`);
    expect(readdirSync(stdout.trim()).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    expect(code).toBe(0);

    const said = await tunebook(
      "generate",
      stories,
      "--prompt",
      "Tom",
      "--adapter",
      stdout.trim(),
      "--max-new-tokens",
      "4",
    );
    expect(said.stderr).toContain("4 tokens in");
    expect(said.code).toBe(0);
  });
});

describe("tunebook generate MODEL", () => {
  withStories("streams the published 200 greedy tokens of stories260k, and nothing else, to stdout", async () => {
    const { code, stdout } = await tunebook(
      ...["generate", stories, "--prompt", "", "--temperature", "0", "--max-new-tokens", "200"],
      ...["--device", "cpu", "--dtype", "f32"],
    );
    expect(stdout.trim()).toBe(readFileSync(path.join(stories, "expected_greedy.txt"), "utf8").trim());
    expect(code).toBe(0);
  });
});
