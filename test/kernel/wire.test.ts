// The wire format against messages whose signatures were made with Python's hmac and json modules.

import { describe, expect, test } from "vitest";
import { createSigner, decodeMessage, encodeMessage, WireError } from "../../kernel/src/wire/frames.js";
import { Outbox } from "../../kernel/src/wire/outbox.js";

const header =
  '{"msg_id": "m1", "session": "s", "username": "u", "date": "2026-01-01T00:00:00Z", "msg_type": "x", "version": "5.3"}';
// hmac.new(b"secret", (header + "{}" + "{}" + '{"a": "\u00e9"}').encode(), hashlib.sha256).hexdigest()
const signature = "7f9252403e7a6378f38e0a87a64397314ce06b1f7f88bd061d6ecdd6ebbefcb4";
const delimiter = "<IDS|MSG>";

function frames(...texts: (string | Uint8Array)[]): Uint8Array[] {
  return texts.map((text) => (typeof text === "string" ? Buffer.from(text) : text));
}

describe("messages", () => {
  const signer = createSigner("secret");

  test("a message signed elsewhere is read, its buffers unsigned and untouched", () => {
    const buffer = new Uint8Array([0, 255, 1]);
    const message = decodeMessage(
      frames("id", delimiter, signature, header, "{}", "{}", '{"a": "é"}', buffer, new Uint8Array(0)),
      signer,
    );
    expect(message.header.msg_type).toBe("x");
    expect(message.content).toEqual({ a: "é" });
    expect(message.identities.map((one) => Buffer.from(one).toString())).toEqual(["id"]);
    expect(message.buffers.map((one) => [...one])).toEqual([[0, 255, 1], []]);
  });

  test("one changed byte of the content breaks the signature", () => {
    const changed = frames(delimiter, signature, header, "{}", "{}", '{"a": "è"}');
    expect(() => decodeMessage(changed, signer)).toThrow(new WireError("signature does not match the message"));
  });

  test.each([
    ["no delimiter", ["a", "b"], 'expected the frame "<IDS|MSG>", got 2 frames without it'],
    ["too few frames", [delimiter, "", "{}"], "expected a signature and 4 frames after the delimiter, got 2"],
    ["broken JSON", [delimiter, "", "{", "{}", "{}", "{}"], "expected a JSON object in each of the 4 frames"],
    ["an array", [delimiter, "", "[]", "{}", "{}", "{}"], "expected a JSON object in each of the 4 frames"],
    ["no type", [delimiter, "", "{}", "{}", "{}", "{}"], "header: expected msg_type and msg_id"],
  ])("%s is refused with the reason", (_, texts, reason) => {
    expect(() => decodeMessage(frames(...texts), createSigner(""))).toThrow(reason);
  });

  test("what is encoded can be decoded, and carries the kernel's session and the request as parent", () => {
    const outgoing = {
      channel: "shell" as const,
      type: "execute_reply",
      content: { status: "ok" },
      parent: { msg_id: "m1" },
      identities: frames("client"),
      buffers: [new Uint8Array([7])],
    };
    const message = decodeMessage(encodeMessage(outgoing, "session", signer).frames, signer);
    expect(message.header).toMatchObject({ msg_type: "execute_reply", session: "session", version: "5.5" });
    expect(message.parent).toEqual({ msg_id: "m1" });
    expect([...(message.buffers[0] as Uint8Array)]).toEqual([7]);
  });

  test("a signature scheme nobody implements is named", () => {
    expect(() => createSigner("k", "hmac-md5")).toThrow('expected signature_scheme "hmac-sha256", got "hmac-md5"');
  });
});

describe("the outbox", () => {
  test("sends one at a time, in order, and survives a failed send", async () => {
    const sent: string[] = [];
    const failures: unknown[] = [];
    let inFlight = 0;
    const socket = {
      async send([frame]: Uint8Array[]) {
        inFlight += 1;
        expect(inFlight).toBe(1);
        await new Promise((resolve) => setTimeout(resolve, 1));
        inFlight -= 1;
        const text = Buffer.from(frame as Uint8Array).toString();
        if (text === "2") throw new Error("EAGAIN");
        sent.push(text);
      },
    };
    const outbox = new Outbox(socket, (error) => failures.push(error));
    for (const text of ["1", "2", "3"]) outbox.push(frames(text));
    await outbox.drained();
    expect(sent).toEqual(["1", "3"]);
    expect(failures).toEqual([new Error("EAGAIN")]);
  });
});
