// Vercel's AI SDK with its provider for OpenAI-compatible servers, as Cline, Kilo and opencode use it.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { LOOK, ROUTER, failure, report } from "./outcomes.mjs";

const house = createOpenAICompatible({ name: "house", baseURL: `${ROUTER}/v1`, apiKey: "k1", includeUsage: true });
const stranger = createOpenAICompatible({ name: "house", baseURL: `${ROUTER}/v1`, apiKey: "k2" });
const asked = (model, fields) => ({ model: house(model), prompt: "Say hello.", maxRetries: 0, temperature: 0, ...fields });
const seen = (error) => ({ status: error.statusCode ?? null, again: error.isRetryable ?? null });

/** All parts of a stream, errors among them: the SDK throws none while it is read. */
async function parts(model, fields = {}) {
  const found = [];
  for await (const part of streamText({ ...asked(model, fields), onError: () => {} }).fullStream) found.push(part);
  return found;
}
const words = (found) => found.filter((part) => part.type === "text-delta").map((part) => part.text).join("");

await report({
  "a chat": async () => {
    const { finishReason, usage } = await generateText(asked("m", { maxOutputTokens: 5 }));
    return { finish: finishReason, tokens: usage.outputTokens };
  },
  "a stream": async () => {
    const whole = await generateText(asked("m", { maxOutputTokens: 9 }));
    const found = await parts("m", { maxOutputTokens: 9 });
    const last = found.at(-1);
    return { same: words(found) === whole.text, finish: last.finishReason, tokens: last.totalUsage.outputTokens };
  },
  "vectors": async () => (await embed({ model: house.textEmbeddingModel("vectors"), value: "one" })).embedding,
  "a completion": async () => {
    const { finishReason, text } = await generateText({ ...asked("m", { maxOutputTokens: 3 }), model: house.completionModel("m") });
    return { finish: finishReason, said: text.length > 0 };
  },
  "a round of tools": async () => {
    const inputs = [];
    const look = tool({
      inputSchema: jsonSchema(LOOK),
      execute: (input) => { inputs.push(input); return "The secret word is plum."; },
    });
    const stream = streamText({ ...asked("tools"), tools: { look }, stopWhen: stepCountIs(3) });
    await stream.consumeStream();
    const [first] = await stream.steps;
    return { inputs, thought: first.reasoningText, finish: first.finishReason, answer: await stream.text };
  },
  "a model that is not there": () => failure(() => generateText(asked("nobody")), seen),
  "a wrong key": () => failure(() => generateText({ ...asked("m"), model: stranger("m") }), seen),
  "an error before a stream": async () => {
    const errors = (await parts("busy")).filter((part) => part.type === "error");
    return errors.map((part) => seen(part.error));
  },
  "an error that is tried again": async () => (await generateText(asked("busy-once", { maxRetries: 1 }))).text,
  "an error in a stream": async () => {
    const found = [];
    const error = await failure(async () => {
      const { fullStream } = streamText({ ...asked("cut"), onError: () => {} });
      for await (const part of fullStream) found.push(part);
    }, (thrown) => thrown.name);
    return { before: words(found), failed: error !== "no error" || found.some((part) => part.type === "error") };
  },
  "comments": async () => ({ said: words(await parts("slow", { maxOutputTokens: 3 })).length > 0 }),
});
