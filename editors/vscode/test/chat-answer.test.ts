import assert from "node:assert/strict";
import { test } from "node:test";
import { type Piece, piecesOf } from "../src/chat-answer.ts";

const END = { choices: [{ delta: {}, finish_reason: "stop" }] };

function delta(content: object, finish_reason: string | null = null): object {
  return { choices: [{ index: 0, delta: content, finish_reason }] };
}

function call(index: number, id: string | undefined, name: string | undefined, text: string): object {
  return delta({ tool_calls: [{ index, id, function: { name, arguments: text } }] });
}

async function read(...chunks: (object | string)[]): Promise<Piece[]> {
  async function* events() {
    for (const chunk of chunks) {
      yield typeof chunk === "string" ? chunk : JSON.stringify(chunk);
    }
  }
  return Array.fromAsync(piecesOf(events()));
}

async function calls(...chunks: object[]): Promise<Piece[]> {
  return (await read(...chunks, delta({}, "tool_calls"), "[DONE]")).filter((piece) => piece.kind === "call");
}

test("text, and what it cost", async () => {
  const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } };
  assert.deepEqual(
    await read(delta({ role: "assistant", content: "" }), delta({ content: "Hi" }), END, usage, "[DONE]"),
    [
      { kind: "text", text: "Hi" },
      { kind: "end", reason: "stop", promptTokens: 3, completionTokens: 2 },
    ],
  );
});

for (const field of ["reasoning_content", "reasoning"]) {
  test(`thoughts are told from the answer: ${field}`, async () => {
    const [thought] = await read(delta({ [field]: "Hm." }), END, "[DONE]");
    assert.deepEqual(thought, { kind: "reasoning", text: "Hm." });
  });
}

test("a call whose arguments come in parts is one call", async () => {
  assert.deepEqual(await calls(call(0, "c1", "look", '{"a'), call(0, undefined, undefined, '": 1}')), [
    { kind: "call", id: "c1", name: "look", input: { a: 1 } },
  ]);
});

test("calls side by side are told apart by their index", async () => {
  const found = await calls(call(0, "c1", "one", "{"), call(1, "c2", "two", "{}"), call(0, undefined, undefined, "}"));
  assert.deepEqual(
    found.map((piece) => piece.kind === "call" && [piece.id, piece.name]),
    [
      ["c1", "one"],
      ["c2", "two"],
    ],
  );
});

test("a call without arguments has an empty object", async () => {
  assert.deepEqual(await calls(call(0, "c1", "look", "")), [{ kind: "call", id: "c1", name: "look", input: {} }]);
});

for (const text of ['{"a": ', "[1]", "null", "words"]) {
  test(`arguments that are no object are a fault: ${text}`, async () => {
    await assert.rejects(calls(call(0, "c1", "look", text)), /tool look with arguments/);
  });
}

test("the cluster's error is the user's", async () => {
  const error = { error: { message: "engine lost", code: "engine_failed" } };
  await assert.rejects(read(delta({ content: "Hal" }), error), /could not finish .*engine lost/);
});

test("half an answer is not taken for a whole one", async () => {
  await assert.rejects(read(delta({ content: "Hal" })), /broke off/);
});

test("what is no JSON is a fault that says so", async () => {
  await assert.rejects(read("<html>"), /proxy/);
});
