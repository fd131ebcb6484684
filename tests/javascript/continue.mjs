// What Continue is built on: its adapters, and its own reader of streams.
import { streamSse } from "@continuedev/fetch";
import { constructLlmApi } from "@continuedev/openai-adapters";
import { HELLO, LOOK, ROUTER, collect, failure, report } from "./outcomes.mjs";

const config = { provider: "openai", apiBase: `${ROUTER}/v1/`, apiKey: "k1" };
const api = constructLlmApi(config);
const vllm = constructLlmApi({ ...config, provider: "vllm" });
const stranger = constructLlmApi({ ...config, apiKey: "k2" });
const never = new AbortController().signal;
const tools = [{ type: "function", function: { name: "look", parameters: LOOK } }];
const asked = (fields) => ({ model: "m", messages: HELLO, temperature: 0, ...fields });
const read = (fields, from = api) => collect(from.chatCompletionStream(asked({ stream: true, ...fields }), never));
const words = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
const seen = (error) => ({ status: error.status ?? null, code: error.code ?? null });

/** As the extension's older half reads: without the SDK, line by line. */
const lines = async (fields) => {
  const headers = { "content-type": "application/json", authorization: "Bearer k1" };
  const body = JSON.stringify(asked({ stream: true, ...fields }));
  return collect(streamSse(await fetch(`${ROUTER}/v1/chat/completions`, { method: "POST", headers, body })));
};

await report({
  "a chat": async () => {
    const answer = await api.chatCompletionNonStream(asked({ max_tokens: 5 }), never);
    return { finish: answer.choices[0].finish_reason, tokens: answer.usage.completion_tokens };
  },
  "a stream": async () => {
    const whole = await api.chatCompletionNonStream(asked({ max_tokens: 9 }), never);
    return { same: words(await read({ max_tokens: 9 })) === whole.choices[0].message.content };
  },
  "a stream with usage": async () => {
    const chunks = await read({ max_tokens: 4, stream_options: { include_usage: true } });
    return { said: words(chunks).length > 0, tokens: chunks.find((chunk) => chunk.usage)?.usage.completion_tokens };
  },
  "lines": async () => ({ said: words(await lines({ max_tokens: 3 })).length > 0 }),
  "lines with comments": async () => ({ said: words(await lines({ model: "slow", max_tokens: 3 })).length > 0 }),
  "comments": async () => ({ said: words(await read({ model: "slow", max_tokens: 3 })).length > 0 }),
  "autocomplete": async () => {
    const body = { model: "m", prompt: "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", max_tokens: 3, stop: ["```"] };
    const chunks = await collect(api.completionStream({ ...body, stream: true }, never));
    return { texts: chunks.filter((chunk) => chunk.choices[0]?.text).length };
  },
  "vectors": async () => (await api.embed({ model: "vectors", input: ["one"] })).data[0].embedding,
  "ranks": async () => {
    const answer = await vllm.rerank({ model: "ranks", query: "a", documents: ["x", "a"] });
    return (answer.data ?? answer.results).map((one) => one.index);
  },
  "models": async () => (await api.list()).map((model) => model.id).includes("m"),
  "a call of a tool": async () => {
    const pieces = (await read({ model: "tools", tools })).flatMap((chunk) => chunk.choices[0]?.delta?.tool_calls ?? []);
    return { name: pieces[0].function.name, arguments: pieces.map((piece) => piece.function.arguments).join("") };
  },
  "a model that is not there": () => failure(() => read({ model: "nobody" }), seen),
  "a wrong key": () => failure(() => read({}, stranger), seen),
  "an error before a stream": () => failure(() => api.chatCompletionNonStream(asked({ model: "refusing" }), never), seen),
  "an error in a stream": () => failure(() => read({ model: "cut" }), seen),
  "lines with an error": () => failure(() => lines({ model: "cut" }), () => "an error"),
});
