import assert from "node:assert/strict";
import { test } from "node:test";
import { messagesOf, type Part, type Turn } from "../src/conversation.ts";

const text = (said: string): Part => ({ kind: "text", text: said });
const image: Part = { kind: "image", mimeType: "image/png", base64: "AAAA" };
const call: Part = { kind: "call", id: "c1", name: "look", input: { at: 1 } };
const url = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };

function turn(role: Turn["role"], ...parts: Part[]): Turn {
  return { role, parts };
}

test("a turn's texts are one message", () => {
  assert.deepEqual(messagesOf([turn("system", text("Be brief.")), turn("user", text("a"), text("b"))]), [
    { role: "system", content: "Be brief." },
    { role: "user", content: "ab" },
  ]);
});

test("a call has its arguments as text", () => {
  const tool_calls = [{ id: "c1", type: "function", function: { name: "look", arguments: '{"at":1}' } }];
  assert.deepEqual(messagesOf([turn("assistant", text("I look."), call)]), [
    { role: "assistant", content: "I look.", tool_calls },
  ]);
});

test("results come directly after their calls, before what is said with them", () => {
  const result: Part = { kind: "result", id: "c1", parts: [text("seen")] };
  const [, tool, user] = messagesOf([turn("assistant", call), turn("user", text("and?"), result)]);
  assert.deepEqual(tool, { role: "tool", tool_call_id: "c1", content: "seen" });
  assert.deepEqual(user, { role: "user", content: "and?" });
});

test("an image is sent with its text", () => {
  assert.deepEqual(messagesOf([turn("user", text("What is it?"), image)]), [
    { role: "user", content: [{ type: "text", text: "What is it?" }, url] },
  ]);
});

test("an image in a result follows it", () => {
  assert.deepEqual(messagesOf([turn("user", { kind: "result", id: "c1", parts: [text("a shot"), image] })]), [
    { role: "tool", tool_call_id: "c1", content: "a shot" },
    { role: "user", content: [url] },
  ]);
});

test("turns that say nothing are left out", () => {
  assert.deepEqual(messagesOf([turn("system"), turn("user", text("")), turn("assistant", text(""))]), []);
});
