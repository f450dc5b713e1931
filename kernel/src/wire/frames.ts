// Jupyter messages to ZeroMQ frames and back, signed with HMAC-SHA256. Next: sockets.ts.
// Signed are header, parent, metadata and content; the buffers that follow are not part of the signature.

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { userInfo } from "node:os";
import { type Content, type Header, type Message, type Outgoing, protocolVersion } from "./message.js";

const delimiter = Buffer.from("<IDS|MSG>");

/** A message that is not one: bad signature, missing frames, broken JSON. It is dropped and logged. */
export class WireError extends Error {
  override readonly name = "WireError";
}

export interface Signer {
  /** Hex digest over the four JSON frames, empty without a key. */
  sign(frames: readonly Uint8Array[]): string;
}

/** @throws WireError for a signature scheme other than hmac-sha256. */
export function createSigner(key: string, scheme = "hmac-sha256"): Signer {
  if (key !== "" && scheme !== "hmac-sha256") {
    throw new WireError(`connection file: expected signature_scheme "hmac-sha256", got "${scheme}"`);
  }
  return {
    sign(frames) {
      if (key === "") return "";
      const hmac = createHmac("sha256", key);
      for (const frame of frames) hmac.update(frame);
      return hmac.digest("hex");
    },
  };
}

/** @throws WireError naming what is wrong with the frames. */
export function decodeMessage(frames: readonly Uint8Array[], signer: Signer): Message {
  const split = frames.findIndex((frame) => delimiter.equals(frame));
  if (split < 0) throw new WireError(`expected the frame "${delimiter}", got ${frames.length} frames without it`);
  const parts = frames.slice(split + 2, split + 6);
  const given = frames[split + 1];
  if (given === undefined || parts.length < 4) {
    throw new WireError(`expected a signature and 4 frames after the delimiter, got ${frames.length - split - 1}`);
  }
  const expected = Buffer.from(signer.sign(parts));
  if (expected.length > 0 && (given.length !== expected.length || !timingSafeEqual(given, expected))) {
    throw new WireError("signature does not match the message");
  }
  const [header, parent, metadata, content] = parts.map(parseObject) as [Content, Content, Content, Content];
  if (typeof header.msg_type !== "string" || typeof header.msg_id !== "string") {
    throw new WireError("header: expected msg_type and msg_id");
  }
  return {
    identities: frames.slice(0, split),
    header: header as unknown as Header,
    parent: parent as Partial<Header>,
    metadata,
    content,
    buffers: frames.slice(split + 6),
  };
}

export interface Encoded {
  readonly header: Header;
  readonly frames: readonly Uint8Array[];
}

/** Header, JSON and signature of a message of this kernel's session. */
export function encodeMessage(outgoing: Outgoing, session: string, signer: Signer): Encoded {
  const header: Header = {
    msg_id: randomUUID(),
    session,
    username: userName,
    date: new Date().toISOString(),
    msg_type: outgoing.type,
    version: protocolVersion,
  };
  const parts = [header, outgoing.parent, outgoing.metadata ?? {}, outgoing.content].map((part) =>
    Buffer.from(JSON.stringify(part)),
  );
  const frames = [
    ...(outgoing.identities ?? []),
    delimiter,
    Buffer.from(signer.sign(parts)),
    ...parts,
    ...(outgoing.buffers ?? []),
  ];
  return { header, frames };
}

function parseObject(frame: Uint8Array): Content {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8"));
  } catch (cause) {
    throw new WireError("expected a JSON object in each of the 4 frames", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new WireError("expected a JSON object in each of the 4 frames");
  }
  return value as Content;
}

/** Containers may run under a user id that has no name. */
const userName = (() => {
  try {
    return userInfo().username;
  } catch {
    return "kernel";
  }
})();
