// The error every reader and writer of checkpoints throws. Next to read: header.ts.

/** A checkpoint file that was refused. The message starts with the file, then the tensor where there is one. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
  /** Name of the tensor at fault, as in the file. */
  readonly tensor: string | undefined;

  constructor(
    readonly file: string,
    problem: string,
    { tensor, cause }: { readonly tensor?: string; readonly cause?: unknown } = {},
  ) {
    super(
      `${file}: ${tensor === undefined ? "" : `tensor "${tensor}": `}${problem}`,
      cause === undefined ? {} : { cause },
    );
    this.tensor = tensor;
  }
}
