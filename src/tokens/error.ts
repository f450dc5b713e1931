// The error of everything that reads a tokenizer.

/** A tokenizer file that was refused. The message starts with the file. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError";
  constructor(
    readonly file: string,
    problem: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(`${file}: ${problem}`, options);
  }
}
