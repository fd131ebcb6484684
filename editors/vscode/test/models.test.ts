import assert from "node:assert/strict";
import { test } from "node:test";
import { completionModel, limitsOf, type Model, modelsOf, shownName } from "../src/models.ts";

function model(card: object): Model {
  const [found] = modelsOf({ data: [{ id: "m", ...card }] }) ?? [];
  assert.ok(found);
  return found;
}

test("what the cluster says of a model is taken over", () => {
  const capabilities = ["chat", "completion", "tools", "vision", "fim"];
  const said = { root: "qwen", context_length: 8192, max_output_tokens: 1024, task: "generate", ready_replicas: 2 };
  assert.deepEqual(model({ ...said, capabilities }), {
    id: "m",
    root: "qwen",
    contextLength: 8192,
    maxOutputTokens: 1024,
    isReady: true,
    chats: true,
    hasTools: true,
    seesImages: true,
    fillsInMiddle: true,
  });
});

test("a model of which nothing is said may chat and call tools", () => {
  for (const card of [{}, { capabilities: [], task: null, context_length: null }]) {
    const { chats, hasTools, seesImages, fillsInMiddle } = model(card);
    assert.deepEqual([chats, hasTools, seesImages, fillsInMiddle], [true, true, false, undefined]);
  }
});

test("what a list of capabilities leaves out the model cannot do", () => {
  const { chats, hasTools, seesImages, fillsInMiddle } = model({ capabilities: ["completion"] });
  assert.deepEqual([chats, hasTools, seesImages, fillsInMiddle], [false, false, false, false]);
});

test("models for other tasks do not chat", () => {
  assert.equal(model({ task: "embed" }).chats, false);
});

test("an older name of the context's length is understood", () => {
  assert.equal(model({ max_model_len: 4096 }).contextLength, 4096);
});

for (const document of [undefined, "<html>", [], {}, { data: "none" }]) {
  test(`no list of models: ${JSON.stringify(document)}`, () => {
    assert.equal(modelsOf(document), undefined);
  });
}

test("cards without a name are left out", () => {
  assert.deepEqual(modelsOf({ data: [{}, null, { id: "" }] }), []);
});

test("input and output share the context", () => {
  const LIMITS: [object, number, number][] = [
    [{ context_length: 2048 }, 1536, 512],
    [{ context_length: 131_072 }, 114_688, 16_384],
    [{ context_length: 8192, max_output_tokens: 1000 }, 7192, 1000],
    [{ context_length: 8192, max_output_tokens: 8192 }, 6144, 2048],
    [{}, 24_576, 8192],
  ];
  for (const [card, maxInputTokens, maxOutputTokens] of LIMITS) {
    assert.deepEqual(limitsOf(model(card)), { maxInputTokens, maxOutputTokens });
  }
});

const CHAT = model({ id: "chat", capabilities: ["chat"] });
const ASLEEP = model({ id: "asleep", capabilities: ["fim"], ready_replicas: 0 });
const CODER = model({ id: "coder", capabilities: ["chat", "fim"] });

test("the first ready model that fills in the middle completes code", () => {
  assert.equal(completionModel([CHAT, ASLEEP, CODER], "")?.id, "coder");
});

test("a model that sleeps completes code where no other does: it wakes", () => {
  assert.equal(completionModel([CHAT, ASLEEP], "")?.id, "asleep");
});

test("a cluster without such a model completes nothing", () => {
  assert.equal(completionModel([CHAT, model({})], ""), undefined);
});

test("the settings' model goes before, and is not replaced by another when it is gone", () => {
  assert.equal(completionModel([CODER, CHAT], "chat")?.id, "chat");
  assert.equal(completionModel([CODER], "chat"), undefined);
});

test("an alias says what it stands for", () => {
  assert.equal(shownName(model({ id: "default", root: "qwen" })), "default (qwen)");
  assert.equal(shownName(model({ id: "qwen", root: "qwen" })), "qwen");
});
