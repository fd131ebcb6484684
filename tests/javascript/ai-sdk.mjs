// Vercel's AI SDK with its provider for OpenAI-compatible servers, as Cline, Kilo and opencode use it.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import {
  CALLING, COUNT, HEADERS, KEY, LONG, LOOK, M, MANY_TOOLS, RESULT, ROUTER, SURE, WRONG_KEY,
  either, failure, isVector, needs, report, sure,
} from "./outcomes.mjs";

const options = { name: "house", baseURL: `${ROUTER}/v1`, headers: HEADERS, supportsStructuredOutputs: true };
const house = createOpenAICompatible({ ...options, apiKey: KEY, includeUsage: true });
const stranger = createOpenAICompatible({ ...options, apiKey: WRONG_KEY });
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
    const { finishReason, usage } = await generateText(asked(M, { maxOutputTokens: 5 }));
    return { finish: finishReason, tokens: usage.outputTokens };
  },
  "a stream": async () => {
    const whole = await generateText(asked(M, { maxOutputTokens: 9 }));
    const found = await parts(M, { maxOutputTokens: 9 });
    const last = found.at(-1);
    return { same: words(found) === whole.text, finish: last.finishReason, tokens: last.totalUsage.outputTokens };
  },
  "vectors": needs("vectors", async (model) =>
    isVector((await embed({ model: house.textEmbeddingModel(model), value: "one" })).embedding)),
  "a completion": async () => {
    const { finishReason, text } = await generateText({ ...asked(M, { maxOutputTokens: 3 }), model: house.completionModel(M) });
    return { finish: finishReason, said: text.length > 0 };
  },
  "a round of tools": needs("tools", async (model) => {
    const inputs = [];
    const look = tool({
      inputSchema: jsonSchema(LOOK),
      execute: (input) => { inputs.push(input); return RESULT; },
    });
    const messages = { prompt: undefined, messages: CALLING };
    const stream = streamText({ ...asked(model, messages), tools: { look }, stopWhen: stepCountIs(3) });
    await stream.consumeStream();
    const [first] = await stream.steps;
    return { inputs, thought: first.reasoningText, finish: first.finishReason, answer: await stream.text };
  }),
  "a schema": needs("whole", (model) =>
    either(async () => sure(JSON.stringify((await generateObject(asked(model, { schema: jsonSchema(SURE) }))).object)), seen)),
  "a large request": async () => {
    const many = MANY_TOOLS.map(({ name, description }) => [name, tool({ description, inputSchema: jsonSchema(LOOK) })]);
    return (await generateText(asked(M, { tools: Object.fromEntries(many), maxOutputTokens: 3 }))).finishReason;
  },
  "a model that is not there": () => failure(() => generateText(asked("nobody")), seen),
  "a wrong key": () => failure(() => generateText({ ...asked(M), model: stranger(M) }), seen),
  "an error before a stream": needs("busy", async (model) => {
    const errors = (await parts(model)).filter((part) => part.type === "error");
    return errors.map((part) => seen(part.error));
  }),
  "an error that is tried again": needs("busy-once", async (model) => (await generateText(asked(model, { maxRetries: 1 }))).text),
  "an error in a stream": needs("cut", async (model) => {
    const found = [];
    const error = await failure(async () => {
      const { fullStream } = streamText({ ...asked(model), onError: () => {} });
      for await (const part of fullStream) found.push(part);
    }, (thrown) => thrown.name);
    return { before: words(found), failed: error !== "no error" || found.some((part) => part.type === "error") };
  }),
  "comments": needs("slow", async (model) => ({ said: words(await parts(model, { maxOutputTokens: 3 })).length > 0 })),
  "a client that leaves": needs("endless", async (model) => {
    const leaving = new AbortController();
    const fields = { prompt: undefined, messages: COUNT, maxOutputTokens: LONG, abortSignal: leaving.signal };
    for await (const part of streamText({ ...asked(model, fields), onError: () => {} }).fullStream) {
      if (part.type === "text-delta") leaving.abort();
    }
    return "left";
  }),
});
