import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ChatMessage, type ChatTemplate, loadChatTemplate, loadTokenizer } from "../../src/tokens/index.js";

interface Case {
  readonly name: string;
  readonly template: string;
  readonly messages: readonly ChatMessage[];
  readonly prompt: boolean;
  readonly text?: string;
  readonly error?: string;
}
const { cases } = JSON.parse(readFileSync(new URL("../golden/chat.json", import.meta.url), "utf8")) as {
  cases: readonly Case[];
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "chat-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function loaded(fields: object): Promise<ChatTemplate | undefined> {
  const at = mkdtempSync(path.join(folder, "model-"));
  writeFileSync(
    path.join(at, "tokenizer_config.json"),
    JSON.stringify({ bos_token: "<s>", eos_token: "</s>", ...fields }),
  );
  return loadChatTemplate(at);
}

test("talks are rendered as transformers renders them, and refused where it refuses them", async () => {
  expect(cases.filter(({ error }) => error !== undefined).length).toBeGreaterThan(1);
  for (const { name, template, messages, prompt, text, error } of cases) {
    const render = (await loaded({ chat_template: template })) as ChatTemplate;
    const rendered = () => render(messages, { addGenerationPrompt: prompt });
    if (error === undefined) expect(rendered(), name).toBe(text);
    else expect(rendered).toThrow(`its chat template refuses these messages: ${error}`);
  }
});

test("of several templates the one named default is taken; a folder may have none, or one that is broken", async () => {
  const several = [
    { name: "tool_use", template: "tools" },
    { name: "default", template: "plain {{ x }}" },
  ];
  expect((await loaded({ chat_template: several }))?.([], { variables: { x: 3 } })).toBe("plain 3");
  expect(await loaded({})).toBeUndefined();
  await expect(loaded({ chat_template: "{% if %}" })).rejects.toThrow(
    /tokenizer_config\.json: its chat template cannot be read: /,
  );
});

test("a file of its own is taken first", async () => {
  const at = mkdtempSync(path.join(folder, "model-"));
  writeFileSync(path.join(at, "tokenizer_config.json"), JSON.stringify({ chat_template: "old" }));
  writeFileSync(path.join(at, "chat_template.jinja"), "new");
  expect((await loadChatTemplate(at))?.([])).toBe("new");
});

const llama = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets/tokenizers/llama");
test.skipIf(!existsSync(llama))(
  "a real template's text has its special tokens as tokens (skipped where ../shared is absent)",
  async () => {
    const render = (await loadChatTemplate(llama)) as ChatTemplate;
    const text = render([{ role: "user", content: "Hi" }]);
    expect(text).toBe("<|user|>\nHi</s>\n<|assistant|>\n");
    expect((await loadTokenizer(llama)).encode(text, { special: true })).toContain(2);
  },
);
