// Questions whose answers are worked out: sums, comparisons, lists of words. Next to read: world.ts, which draws from all of them.

import { listWords } from "./lexicon.js";
import { type Draw, pick } from "./split.js";

export type TaskKind =
  | "add"
  | "subtract"
  | "next number"
  | "bigger"
  | "larger of two"
  | "repeat"
  | "capitals"
  | "count"
  | "first"
  | "last";

/** One question with its answer. `content` names it apart from its wording: equal contents are never split between training and held-out. */
export interface Task {
  readonly kind: TaskKind;
  readonly content: string;
  readonly instruction: string;
  readonly input?: string;
  readonly output: string;
  /** The Chinese answer where it differs from `output`. */
  readonly outputZh?: string;
}

interface Wording {
  readonly en: readonly string[];
  readonly zh: readonly string[];
}

const wordings: Readonly<Record<TaskKind, Wording>> = {
  add: {
    en: [
      "What is {a} + {b}?",
      "Add {a} and {b}.",
      "{a} + {b} = ?",
      "How much is {a} plus {b}?",
      "Tell me the sum of {a} and {b}.",
    ],
    zh: ["{a}加{b}等于多少？", "{a} + {b} = ?", "{a}加{b}是多少？", "请算一算{a}加{b}。", "{a}和{b}的和是多少？"],
  },
  subtract: {
    en: [
      "What is {a} - {b}?",
      "Take {b} from {a}.",
      "{a} - {b} = ?",
      "How much is {a} minus {b}?",
      "Subtract {b} from {a}.",
    ],
    zh: ["{a}减{b}等于多少？", "{a} - {b} = ?", "{a}减{b}是多少？", "请算一算{a}减{b}。", "从{a}里减去{b}是多少？"],
  },
  "next number": {
    en: ["Which number comes after {a}?", "What comes after {a}?", "Count on from {a}."],
    zh: ["{a}后面是几？", "{a}的下一个数是多少？", "从{a}往下数一个。"],
  },
  bigger: {
    en: ["Is {a} bigger than {b}?", "Is {a} more than {b}?", "Tell me if {a} is bigger than {b}."],
    zh: ["{a}比{b}大吗？", "{a}是不是比{b}大？", "请问{a}大于{b}吗？"],
  },
  "larger of two": {
    en: ["Which is bigger, {a} or {b}?", "Which number is bigger: {a} or {b}?", "Name the bigger number: {a} or {b}."],
    zh: ["{a}和{b}哪个大？", "{a}和{b}哪个更大？", "说出更大的数：{a}，{b}"],
  },
  repeat: {
    en: ["Repeat the word.", "Say this again.", "Write the same word."],
    zh: ["重复这个词。", "再说一遍。", "照着写一遍。"],
  },
  capitals: {
    en: ["Write in capital letters.", "Make the letters big.", "Use capital letters."],
    zh: ["用大写字母写。", "改成大写字母。", "写成大写。"],
  },
  count: {
    en: ["How many words are there?", "Count the words.", "Tell me how many words you see."],
    zh: ["一共有几个词？", "数一数有几个词。", "这里有几个词？"],
  },
  first: {
    en: ["What is the first word?", "Name the first word.", "Which word comes first?"],
    zh: ["第一个词是什么？", "说出第一个词。", "哪个词在最前面？"],
  },
  last: {
    en: ["What is the last word?", "Name the last word.", "Which word comes last?"],
    zh: ["最后一个词是什么？", "说出最后一个词。", "哪个词在最后面？"],
  },
};

export const taskKinds = Object.keys(wordings) as TaskKind[];

/** `count` different words of the list. */
function distinctWords(count: number, draw: Draw): string[] {
  const left = [...listWords];
  return Array.from({ length: count }, () => left.splice(draw(left.length), 1)[0] as string);
}

/** Numbers of the world are 0 to this. */
export const MOST = 20;

/**
 * One drawn question of `kind`, worded in `language`.
 *
 * Numbers are 0 to 20 and so are their sums and differences; lists have up to four words. A question about numbers or about one word is
 * named by its wording too, so that what is held out is a wording never seen with these; a list is held out in every wording.
 */
export function drawTask(kind: TaskKind, language: "en" | "zh", draw: Draw): Task {
  const wording = pick(wordings[kind][language], draw);
  const numbers = (a: number, b: number, output: number | string, outputZh?: string): Task => {
    const instruction = wording.replace("{a}", `${a}`).replace("{b}", `${b}`);
    return {
      kind,
      content: instruction,
      instruction,
      output: `${output}`,
      ...(outputZh === undefined ? {} : { outputZh }),
    };
  };
  const words = (count: number, answer: (chosen: readonly string[]) => string): Task => {
    const chosen = distinctWords(count, draw);
    const content = count === 1 ? `${chosen[0]} ${wording}` : chosen.join(" ");
    return { kind, content, instruction: wording, input: chosen.join(" "), output: answer(chosen) };
  };
  const a = draw(MOST + 1);
  switch (kind) {
    case "add": {
      const b = draw(MOST + 1 - a);
      return numbers(a, b, a + b);
    }
    case "subtract": {
      const b = draw(a + 1);
      return numbers(a, b, a - b);
    }
    case "next number":
      return numbers(a, 1, a + 1);
    case "bigger": {
      const b = draw(MOST + 1);
      return a > b ? numbers(a, b, "yes", "是") : numbers(a, b, "no", "不是");
    }
    case "larger of two": {
      const b = (a + 1 + draw(MOST)) % (MOST + 1);
      return numbers(a, b, Math.max(a, b));
    }
    case "repeat":
      return words(1, ([word]) => word as string);
    case "capitals":
      return words(1, ([word]) => (word as string).toUpperCase());
    case "count":
      return words(1 + draw(4), (chosen) => `${chosen.length}`);
    case "first":
      return words(2 + draw(2), (chosen) => chosen[0] as string);
    case "last":
      return words(2 + draw(2), (chosen) => chosen.at(-1) as string);
    default:
      return kind satisfies never;
  }
}
