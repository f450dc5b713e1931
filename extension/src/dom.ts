// Elements without a framework. Text goes in as text: nothing here or above it sets innerHTML.

type Attributes = Readonly<Record<string, string | number | boolean>>;

/** An element with attributes and children; strings become text. `false` leaves an attribute out, `true` sets it empty. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/** Sets the text only when it differs, so that screen readers are not told the same again. */
export function say(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Part of a view: made once, told of every new state, taken away once. */
export interface Part<State> {
  readonly node: HTMLElement;
  update(state: State): void;
  dispose?(): void;
}
