import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DatasetError, type ReadOptions, readRows, rows } from "../../src/data/index.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "rows-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(name: string, content: string | Uint8Array): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, content);
  return file;
}

/** The message of the refusal, without the folder. */
async function refusal(file: string, options?: ReadOptions): Promise<string> {
  const error = await rows(file, options).then(
    () => new Error("read"),
    (reason: unknown) => reason as Error,
  );
  expect(error).toBeInstanceOf(DatasetError);
  return error.message.replace(`${folder}${path.sep}`, "");
}

describe("rows", () => {
  const three = [
    { instruction: "Add.", input: "1 2", output: "3" },
    { instruction: "Greet.", input: "", output: "Hello" },
    { instruction: "Wave.", input: null, output: "\\o/", extra: 1 },
  ];
  const expected = [
    { kind: "instruction", instruction: "Add.", input: "1 2", output: "3" },
    { kind: "instruction", instruction: "Greet.", output: "Hello" },
    { kind: "instruction", instruction: "Wave.", output: "\\o/" },
  ];

  test("come from an array in a .json file", async () => {
    expect(await rows(await fileOf("a.json", JSON.stringify(three, null, 2)))).toEqual(expected);
  });

  test("come from lines of a .jsonl file, with byte order mark, Windows line ends and blank lines", async () => {
    const text = `\ufeff${three.map((row) => JSON.stringify(row)).join("\r\n\r\n")}`;
    expect(await rows(await fileOf("a.jsonl", text))).toEqual(expected);
  });

  test("come from lines in a file that is called .json", async () => {
    expect(await rows(await fileOf("lines.json", three.map((row) => JSON.stringify(row)).join("\n")))).toEqual(
      expected,
    );
  });

  test("come from lines longer than what is read at a time", async () => {
    const long = "é".repeat(300_000);
    const text = `${JSON.stringify({ text: long })}\n${JSON.stringify({ text: "short" })}`;
    expect(await rows(await fileOf("long.jsonl", text))).toEqual([
      { kind: "text", text: long },
      { kind: "text", text: "short" },
    ]);
  });

  test("come from objects at hand, and from rows themselves", async () => {
    const found = [];
    for await (const row of readRows([{ prompt: "a", response: "b" }, { text: "c" }, { kind: "text", text: "d" }]))
      found.push(row);
    expect(found).toEqual([
      { kind: "instruction", instruction: "a", output: "b" },
      { kind: "text", text: "c" },
      { kind: "text", text: "d" },
    ]);
  });

  test("come from fields with other names when they are named", async () => {
    const file = await fileOf("named.jsonl", '{"instruct": "Find names.", "query": "Ada", "answer": "Ada_person"}');
    expect(await rows(file, { columns: { prompt: "instruct", input: "query", response: "answer" } })).toEqual([
      { kind: "instruction", instruction: "Find names.", input: "Ada", output: "Ada_person" },
    ]);
  });

  test("are read as they are asked for: a fault further on does not stop the first ones", async () => {
    const file = await fileOf("late.jsonl", '{"text": "first"}\n{"text": 2}');
    const reader = readRows(file);
    expect(await reader.next()).toEqual({ done: false, value: { kind: "text", text: "first" } });
    await expect(reader.next()).rejects.toThrow(":2: row 1: expected `text` to be text, got number 2");
  });
});

describe("what is refused says where and why", () => {
  test("no file, a folder, a Git LFS pointer", async () => {
    expect(await refusal(path.join(folder, "none.json"))).toBe("none.json: there is no such file");
    await expect(rows(folder)).rejects.toThrow("cannot be read: EISDIR");
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99\n";
    expect(await refusal(await fileOf("lfs.json", pointer))).toBe(
      `lfs.json: this is a Git LFS pointer, not the data of 99 bytes: run \`git lfs pull\` in ${folder}`,
    );
  });

  test.each([
    ["", "empty file"],
    [" \n\n", "blank lines"],
    ["[]", "empty array"],
    ["[ \n ]", "array of space"],
  ])("no rows: %j", async (content) => {
    expect(await refusal(await fileOf("empty.json", content))).toBe("empty.json: it holds no rows");
  });

  test("no rows at hand", async () => {
    await expect(readRows([]).next()).rejects.toThrow("rows: it holds no rows");
  });

  test.each([
    ['[\n{"text": "a"},\n{"text": "b"\n]', 'x.json:4:1: not JSON: expected "," or "}"'],
    ['[{"text": "a"}\n{"text": "b"}]', 'x.json:2:1: not JSON: expected "," or "]"'],
    ['[{"text": "a"},\n]', 'x.json:2:1: not JSON: expected a value; the comma before "]" is one too many'],
    ['[{"text": "a"}', 'x.json:1:15: not JSON: expected "," or "]", but the text ends here'],
    ['[{"text": "a"}] trailing', "x.json:1:17: not JSON: expected the end of the file"],
    ['{"text": "a"}\n{"text": "b}\n', "x.json:2:10: not JSON: a string opens here and is never closed"],
    [
      '{\n"text": "a"\n}',
      'x.json:1:2: not JSON: expected a key in double quotes or "}", but the text ends here (one object spread over several lines: write each on one line, or all in an array)',
    ],
    [
      "instruction,output\n",
      'x.json:1: expected JSON: an array "[...]", or one object "{...}" per line, it begins with "i"',
    ],
  ])("%j", async (content, message) => {
    expect(await refusal(await fileOf("x.json", content))).toBe(message);
  });

  test.each([
    [
      { content: "a", summary: "b" },
      'it has content, summary. Name its fields with columns: { prompt: "content", response: "summary" }',
    ],
    [{ q: "a", a: "b" }, 'it has q, a. Name its fields with columns: { prompt: "...", response: "..." }'],
    [{}, "it has no fields."],
    [{ conversations: [] }, "Rows of several turns (`conversations`) are not supported"],
    [{ instruction: "a", output: ["b"] }, "row 1: expected `output` to be text, got a list of 1"],
    [{ instruction: "a", input: 1, output: "b" }, "row 1: expected `input` to be text, got number 1"],
    [{ prompt: null, response: "b" }, "row 1: expected `prompt` to be text, got null"],
    [
      { instruction: "a", output: "b", history: [["c", "d"]] },
      "it has a `history` of 1 earlier turns, which would be lost",
    ],
    [["a"], "row 1: expected an object, got a list of 1"],
    ["a", 'row 1: expected an object, got string "a"'],
  ])("a row such as %j", async (row, message) => {
    const file = await fileOf("row.json", `[{"text": "good"},\n\n${JSON.stringify(row)}]`);
    const text = await refusal(file);
    expect(text).toContain("row.json:3: row 1: ");
    expect(text).toContain(message);
  });

  test("a row without a column that was named", async () => {
    const file = await fileOf("row.jsonl", '{"q": "a"}');
    expect(await refusal(file, { columns: { prompt: "q", response: "a" } })).toBe(
      "row.jsonl:1: row 0: expected a field `a`, it has q",
    );
  });

  test.each(["x.json", "x.jsonl"])("a byte that is not UTF-8, in %s", async (name) => {
    const good = name === "x.json" ? '[{"text": "a"},\n{"text": "' : '{"text": "a"}\n{"text": "';
    const text = await refusal(
      await fileOf(name, Buffer.concat([Buffer.from(good), Buffer.from([0xe9]), Buffer.from('"}]')])),
    );
    expect(text).toMatch(/2.*not UTF-8: save the file as UTF-8/);
  });
});

const shared = path.resolve(process.env.TUNEBOOK_SHARED ?? "../shared", "assets/datasets");
describe.skipIf(!existsSync(shared))("real datasets (skipped where ../shared/assets is absent)", () => {
  test.each([
    ["alpaca_en_demo.json", 999],
    ["alpaca_zh_demo.json", 1000],
    ["identity.json", 91],
    ["alpaca_en_52k.json", 52002],
    ["adgen_100.jsonl", 100],
    ["vicuna_instruct_sample.jsonl", 10],
  ])("%s has %i rows", async (name, count) => {
    expect((await rows(path.join(shared, name))).length).toBe(count);
  });

  test("a dataset with a comma too many is refused at the place that Python's json names too", async () => {
    await expect(rows(path.join(shared, "malformed_alpaca_zh.json"))).rejects.toThrow(
      'malformed_alpaca_zh.json:14007:1: not JSON: expected a value; the comma before "]" is one too many',
    );
  });

  test("reading 52,002 rows lets the event loop turn", async () => {
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    await rows(path.join(shared, "alpaca_en_52k.json"));
    clearInterval(timer);
    expect(longest).toBeLessThan(150); // 20 to 30 ms alone; room for a busy machine. Without turns it is over 300 ms.
  });
});
