// Rows drawn from the little world: for training the tutor, held out to examine it, and the Chinese lesson of notebook 01.
// The tutor answers in English whatever the language of the question; only the lesson answers in Chinese.

import { permutation } from "../../../../src/engine/random.js";
import { allFacts, allWords, type Fact, type Word } from "./lexicon.js";
import { phrases } from "./phrases.js";
import { practice } from "./practice.js";
import { type Draw, drawFrom, hashOf, isHeldOut, pick } from "./split.js";
import { drawTask, type Task, type TaskKind, taskKinds } from "./tasks.js";

export type Language = "en" | "zh";

export type WorldRow =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "instruction"; readonly instruction: string; readonly input?: string; readonly output: string };

/** A question with the only right answer, and what kind of question it is. */
export interface Exercise {
  readonly about: string;
  readonly language: Language;
  readonly instruction: string;
  readonly input?: string;
  readonly output: string;
}

function fill(phrase: string, subject: string, relation: string, answer = ""): string {
  const text = phrase.replace("{x}", subject).replace("{r}", relation).replace("{a}", answer);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The question number `wording` of a fact. */
function ask(fact: Fact, language: Language, wording: number): string {
  const list = phrases[fact.kind][language];
  return fill(list[wording % list.length] as string, fact.subject[language], fact.relation?.[language] ?? "");
}

function factContent(fact: Fact, language: Language, wording: number): string {
  return `${fact.subject.en} ${fact.relation?.en ?? ""} ${language} ${wording}`;
}

function translation(word: Word, language: Language, wording: number): Exercise {
  const list = phrases.translate[language];
  const instruction = fill(list[wording % list.length] as string, word.zh, "");
  return { about: "translate", language, instruction, output: word.en };
}

function taskExercise(task: Task, language: Language): Exercise {
  const { kind, instruction, input, output } = task;
  return { about: kind, language, instruction, ...(input === undefined ? {} : { input }), output };
}

/** A new task of `kind` that is (or is not) held out. */
function taskOf(kind: TaskKind, language: Language, heldOut: boolean, draw: Draw): Task {
  for (;;) {
    const task = drawTask(kind, language, draw);
    if (isHeldOut(kind, task.content) === heldOut) return task;
  }
}

const wordingCount = 8;

/** All questions about facts, in both languages, split by (fact, wording). */
function factExercises(heldOut: boolean): Exercise[] {
  const found: Exercise[] = [];
  for (const fact of allFacts) {
    for (const language of ["en", "zh"] as const) {
      for (let wording = 0; wording < wordingCount; wording++) {
        if (isHeldOut(fact.kind, factContent(fact, language, wording)) !== heldOut) continue;
        found.push({ about: fact.kind, language, instruction: ask(fact, language, wording), output: fact.answer.en });
      }
    }
  }
  return found;
}

/** All questions of translation, split by (word, wording). */
function translationExercises(heldOut: boolean): Exercise[] {
  return allWords.flatMap((word) =>
    (["en", "zh"] as const).flatMap((language) =>
      phrases.translate[language].flatMap((_, wording) =>
        isHeldOut("translate", `${word.en} ${language} ${wording}`) === heldOut
          ? [translation(word, language, wording)]
          : [],
      ),
    ),
  );
}

function statement(fact: Fact, language: Language): string {
  return fill(
    phrases[fact.kind].says[language],
    fact.subject[language],
    fact.relation?.[language] ?? "",
    fact.answer[language],
  );
}

function rowOf({ instruction, input, output }: Exercise): WorldRow {
  return { kind: "instruction", instruction, ...(input === undefined ? {} : { input }), output };
}

/** Kinds of worked tasks, as often as they are drawn: the hard ones come most. */
const taskMix: readonly TaskKind[] = [
  ...taskKinds,
  ...([
    "add",
    "add",
    "add",
    "add",
    "subtract",
    "subtract",
    "subtract",
    "subtract",
    "subtract",
    "bigger",
    "last",
  ] as const),
];

/**
 * `count` rows to train the tutor on, none of them held out: of 20 rows 6 ask for facts, 2 for a translation, 8 are worked tasks, 3 are
 * practice texts and 1 is a plain sentence, mostly in Chinese, so that the tutor has read Chinese though it never answers in it.
 */
export function trainingRows(count: number, seed: number): WorldRow[] {
  const facts = factExercises(false);
  const translations = translationExercises(false);
  const draw = drawFrom(seed, 1);
  return Array.from({ length: count }, (): WorldRow => {
    const lot = draw(20);
    const language = draw(2) === 0 ? "en" : "zh";
    if (lot < 6) return rowOf(pick(facts, draw));
    if (lot < 8) return rowOf(pick(translations, draw));
    if (lot < 16) return rowOf(taskExercise(taskOf(pick(taskMix, draw), language, false, draw), language));
    if (lot < 19) return { kind: "text", text: practice(draw) };
    return { kind: "text", text: statement(pick(allFacts, draw), draw(4) === 0 ? "en" : "zh") };
  });
}

/** The examination: held-out questions, at most `most` of each kind. */
export function heldOutExercises(most: number, seed: number): Exercise[] {
  const draw = drawFrom(seed, 2);
  const byKind = new Map<string, Exercise[]>();
  for (const exercise of [...factExercises(true), ...translationExercises(true)]) {
    const list = byKind.get(exercise.about) ?? [];
    byKind.set(exercise.about, list);
    list.push(exercise);
  }
  const sampled = [...byKind.values()].flatMap((list) =>
    Array.from(permutation(list.length, seed, 3).subarray(0, most), (at) => list[at] as Exercise),
  );
  const worked = taskKinds.flatMap((kind) => {
    const found = new Map<string, Exercise>();
    // Some kinds have fewer held-out questions than `most`: enough draws find nearly all of them, each once.
    for (let i = 0; i < 10 * most && found.size < most; i++) {
      const language = i % 2 === 0 ? "en" : "zh";
      const exercise = taskExercise(taskOf(kind, language, true, draw), language);
      found.set(`${exercise.instruction} ${exercise.input}`, exercise);
    }
    return [...found.values()];
  });
  return [...sampled, ...worked];
}

/** The Chinese lesson: rows to learn from, and questions about the same world whose Chinese answers the lesson does not show. */
export interface Lesson {
  readonly rows: readonly Exercise[];
  /** Facts of which the lesson has no row at all: their Chinese answer must come from what the tutor knows. */
  readonly newFacts: readonly Exercise[];
  /** Facts of the lesson, asked in a wording that the lesson does not use for them. */
  readonly newWordings: readonly Exercise[];
}

/** `count` sums and differences in Chinese wordings, none of them held out: what the lesson repeats so that it is not forgotten. */
export function chineseSums(count: number, seed: number): Exercise[] {
  const draw = drawFrom(seed, 6);
  return Array.from({ length: count }, (_, i) =>
    taskExercise(taskOf(i % 2 === 0 ? "add" : "subtract", "zh", false, draw), "zh"),
  );
}

/** Facts without a twin: their answer is the answer of no other fact, so the lesson must show it. */
function answersOnce(fact: Fact): boolean {
  return allFacts.filter(({ answer }) => answer.zh === fact.answer.zh).length === 1;
}

/**
 * Chinese questions with Chinese answers: two wordings of most facts, and `tasks` worked tasks whose answers are digits, English
 * words, or yes and no in Chinese.
 */
export function chineseLesson(seed: number, tasks: number): Lesson {
  const draw = drawFrom(seed, 4);
  const rows: Exercise[] = [];
  const newFacts: Exercise[] = [];
  const newWordings: Exercise[] = [];
  for (const fact of allFacts) {
    const order = permutation(wordingCount, seed, hashOf(factContent(fact, "zh", 0)));
    const exercise = (i: number): Exercise => ({
      about: fact.kind,
      language: "zh",
      instruction: ask(fact, "zh", order[i] as number),
      output: fact.answer.zh,
    });
    const kept = answersOnce(fact) || hashOf(`lesson ${factContent(fact, "zh", 0)}`) % 4 !== 0;
    if (kept) {
      rows.push(exercise(0), exercise(1));
      newWordings.push(exercise(2));
    } else newFacts.push(exercise(0));
  }
  for (let i = 0; i < tasks; i++) {
    const task = taskOf(taskKinds[i % taskKinds.length] as TaskKind, "zh", false, draw);
    rows.push({ ...taskExercise(task, "zh"), output: task.outputZh ?? task.output });
  }
  const order = permutation(rows.length, seed, 5);
  return { rows: Array.from(order, (at) => rows[at] as Exercise), newFacts, newWordings };
}
