// Anthropic's own library for JavaScript.
import Anthropic from "@anthropic-ai/sdk";
import {
  CALLING, COUNT, HEADERS, HELLO, KEY, LONG, LOOK, M, MANY_TOOLS, RESULT, ROUTER, TOO_LONG, WRONG_KEY,
  collect, failure, needs, report,
} from "./outcomes.mjs";

const options = { baseURL: ROUTER, maxRetries: 0, defaultHeaders: HEADERS };
const client = new Anthropic({ ...options, apiKey: KEY });
const bearer = new Anthropic({ ...options, apiKey: null, authToken: KEY });
const stranger = new Anthropic({ ...options, apiKey: WRONG_KEY });
const tools = [{ name: "look", description: "Looks.", input_schema: LOOK }];
const seen = (error) => ({ kind: error.constructor.name, status: error.status ?? null, type: error.error?.error?.type ?? null });
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const asked = (fields) => ({ model: M, max_tokens: 9, messages: HELLO, temperature: 0, ...fields });
const ask = (fields) => client.messages.create(asked(fields));
const read = (fields) => client.messages.stream(asked(fields)).finalMessage();
const tokensRead = ({ usage }) => usage.input_tokens + (usage.cache_read_input_tokens ?? 0);

await report({
  "a message": async () => {
    const answer = await ask({});
    return { stop: answer.stop_reason, tokens: answer.usage.output_tokens, named: !!answer._request_id };
  },
  "a bearer": async () => (await bearer.messages.create(asked({ max_tokens: 1 }))).role,
  "a stream": async () => {
    const [whole, streamed] = [await ask({}), await read({})];
    return {
      same: text(whole) === text(streamed), stop: streamed.stop_reason, tokens: streamed.usage.output_tokens,
      read: tokensRead(whole) === tokensRead(streamed),
    };
  },
  "events": async () => {
    const kinds = (await collect(await ask({ stream: true, max_tokens: 2 }))).map((event) => event.type);
    return [kinds[0], kinds.at(-2), kinds.at(-1)];
  },
  "a count of tokens": async () => (await client.messages.countTokens({ model: M, messages: HELLO })).input_tokens > 0,
  "a count that is exact": needs("whole", async (model) => {
    const { input_tokens: counted } = await client.messages.countTokens({ model, messages: HELLO });
    return counted === tokensRead(await ask({ max_tokens: 1 }));
  }),
  "a look whether somebody is there": async () => (await fetch(`${ROUTER}/`, { method: "HEAD" })).status,
  "models": async () => (await collect(client.models.list())).map((model) => model.id).includes(M),
  "a round of tools": needs("tools", async (model) => {
    const thinking = { type: "enabled", budget_tokens: 1024 };
    const called = await read({ model, tools, thinking, messages: CALLING, max_tokens: 2048 });
    const call = called.content.find((block) => block.type === "tool_use");
    const result = { type: "tool_result", tool_use_id: call.id, content: RESULT };
    const messages = [...CALLING, { role: "assistant", content: called.content }, { role: "user", content: [result] }];
    const answer = await read({ model, tools, messages, max_tokens: 64 });
    return { stop: called.stop_reason, kinds: called.content.map((block) => block.type), input: call.input, answer: text(answer) };
  }),
  "tools that are left out": needs("toolless", async (model) => {
    const { data, response } = await client.messages.create(asked({ model, tools })).withResponse();
    return { ignored: response.headers.get("x-enginehouse-ignored"), kinds: data.content.map((block) => block.type) };
  }),
  "a large request": async () => {
    const many = MANY_TOOLS.map((tool) => ({ ...tool, input_schema: LOOK }));
    return (await ask({ tools: many })).stop_reason;
  },
  "a limit that no context has": async () =>
    (await read({ max_tokens: 32_000, stop_sequences: [" "], system: "You are brief." })).stop_reason,
  "a prompt that does not fit": needs("whole", (model) =>
    failure(() => ask({ model, messages: TOO_LONG }), (error) => ({
      ...seen(error), words: /prompt is too long/.test(error.message),
    }))),
  "a model that is not there": () => failure(() => ask({ model: "nobody" }), seen),
  "a wrong field": () => failure(() => ask({ messages: [] }), seen),
  "a wrong key": () => failure(() => stranger.messages.create(asked({})), seen),
  "an error before a stream": needs("busy", (model) => failure(() => read({ model }), seen)),
  "an error in a stream": needs("cut", (model) => failure(() => read({ model }), seen)),
  "comments": needs("slow", async (model) => (await read({ model, max_tokens: 3 })).stop_reason),
  "a client that leaves": needs("endless", async (model) => {
    const stream = await ask({ model, messages: COUNT, max_tokens: LONG, stream: true });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    return "left";
  }),
});
