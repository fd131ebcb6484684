// Anthropic's own library for JavaScript.
import Anthropic from "@anthropic-ai/sdk";
import { HELLO, LOOK, ROUTER, collect, failure, report } from "./outcomes.mjs";

const options = { baseURL: ROUTER, maxRetries: 0 };
const client = new Anthropic({ ...options, apiKey: "k1" });
const bearer = new Anthropic({ ...options, apiKey: null, authToken: "k1" });
const stranger = new Anthropic({ ...options, apiKey: "k2" });
const tools = [{ name: "look", description: "Looks.", input_schema: LOOK }];
const seen = (error) => ({ kind: error.constructor.name, status: error.status ?? null, type: error.error?.error?.type ?? null });
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const asked = (fields) => ({ model: "m", max_tokens: 9, messages: HELLO, temperature: 0, ...fields });
const ask = (fields) => client.messages.create(asked(fields));
const read = (fields) => client.messages.stream(asked(fields)).finalMessage();

await report({
  "a message": async () => {
    const answer = await ask({});
    return { stop: answer.stop_reason, tokens: answer.usage.output_tokens, named: !!answer._request_id };
  },
  "a bearer": async () => (await bearer.messages.create(asked({ max_tokens: 1 }))).role,
  "a stream": async () => {
    const [whole, streamed] = [await ask({}), await read({})];
    return { same: text(whole) === text(streamed), stop: streamed.stop_reason, tokens: streamed.usage.output_tokens };
  },
  "events": async () => {
    const kinds = (await collect(await ask({ stream: true, max_tokens: 2 }))).map((event) => event.type);
    return [kinds[0], kinds.at(-2), kinds.at(-1)];
  },
  "a count of tokens": async () => (await client.messages.countTokens({ model: "m", messages: HELLO })).input_tokens > 0,
  "models": async () => (await collect(client.models.list())).map((model) => model.id).includes("m"),
  "a round of tools": async () => {
    const called = await read({ model: "tools", tools, thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 2048 });
    const call = called.content.find((block) => block.type === "tool_use");
    const result = { type: "tool_result", tool_use_id: call.id, content: "The secret word is plum." };
    const messages = [...HELLO, { role: "assistant", content: called.content }, { role: "user", content: [result] }];
    const answer = await read({ model: "tools", tools, messages });
    return { stop: called.stop_reason, kinds: called.content.map((block) => block.type), input: call.input, answer: text(answer) };
  },
  "a model that is not there": () => failure(() => ask({ model: "nobody" }), seen),
  "a wrong field": () => failure(() => ask({ messages: [] }), seen),
  "a wrong key": () => failure(() => stranger.messages.create(asked({})), seen),
  "an error before a stream": () => failure(() => read({ model: "busy" }), seen),
  "an error in a stream": () => failure(() => read({ model: "cut" }), seen),
  "comments": async () => (await read({ model: "slow", max_tokens: 3 })).stop_reason,
});
