// What Continue is built on: its adapters, and its own reader of streams.
import { streamSse } from "@continuedev/fetch";
import { constructLlmApi } from "@continuedev/openai-adapters";
import {
  CALLING, COUNT, HEADERS, HELLO, KEY, LONG, LOOK, M, MANY_TOOLS, ROUTER, WRONG_KEY,
  collect, failure, isVector, needs, report,
} from "./outcomes.mjs";

const config = { provider: "openai", apiBase: `${ROUTER}/v1/`, apiKey: KEY, requestOptions: { headers: HEADERS } };
const api = constructLlmApi(config);
const vllm = constructLlmApi({ ...config, provider: "vllm" });
const stranger = constructLlmApi({ ...config, apiKey: WRONG_KEY });
const never = new AbortController().signal;
const tools = [{ type: "function", function: { name: "look", parameters: LOOK } }];
const asked = (fields) => ({ model: M, messages: HELLO, temperature: 0, ...fields });
const read = (fields, from = api) => collect(from.chatCompletionStream(asked({ stream: true, ...fields }), never));
const words = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
const seen = (error) => ({ status: error.status ?? null, code: error.code ?? null });

/** As the extension's older half reads: without the SDK, line by line. */
const lines = async (fields) => {
  const headers = { ...HEADERS, "content-type": "application/json", authorization: `Bearer ${KEY}` };
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
  "lines with comments": needs("slow", async (model) => ({ said: words(await lines({ model, max_tokens: 3 })).length > 0 })),
  "comments": needs("slow", async (model) => ({ said: words(await read({ model, max_tokens: 3 })).length > 0 })),
  "autocomplete": async () => {
    const prompt = "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>";
    const body = { model: M, prompt, max_tokens: 3, temperature: 0, stop: ["```"] };
    const chunks = await collect(api.completionStream({ ...body, stream: true }, never));
    return { said: chunks.some((chunk) => chunk.choices[0]?.text), finish: chunks.at(-1).choices[0]?.finish_reason };
  },
  "vectors": needs("vectors", async (model) => isVector((await api.embed({ model, input: ["one"] })).data[0].embedding)),
  "ranks": needs("ranks", async (model) => {
    const answer = await vllm.rerank({ model, query: "a", documents: ["x", "a"] });
    return (answer.data ?? answer.results).map((one) => one.index);
  }),
  "models": async () => (await api.list()).map((model) => model.id).includes(M),
  "a call of a tool": needs("tools", async (model) => {
    const chunks = await read({ model, messages: CALLING, tools });
    const pieces = chunks.flatMap((chunk) => chunk.choices[0]?.delta?.tool_calls ?? []);
    const given = pieces.map((piece) => piece.function.arguments ?? "").join("");
    return { name: pieces[0].function.name, given: JSON.parse(given) };
  }),
  "a large request": async () => {
    const many = MANY_TOOLS.map((tool) => ({ type: "function", function: { ...tool, parameters: LOOK } }));
    return { said: words(await read({ tools: many, max_tokens: 3 })).length > 0 };
  },
  "a model that is not there": () => failure(() => read({ model: "nobody" }), seen),
  "a wrong key": () => failure(() => read({}, stranger), seen),
  "an error before a stream": needs("refusing", (model) => failure(() => api.chatCompletionNonStream(asked({ model }), never), seen)),
  "an error in a stream": needs("cut", (model) => failure(() => read({ model }), seen)),
  "lines with an error": needs("cut", (model) => failure(() => lines({ model }), () => "an error")),
  "a client that leaves": needs("endless", async (model) => {
    const leaving = new AbortController();
    const body = asked({ model, messages: COUNT, max_tokens: LONG, stream: true });
    await failure(async () => {
      for await (const chunk of api.chatCompletionStream(body, leaving.signal)) if (words([chunk])) leaving.abort();
    }, () => "it may throw");
    return "left";
  }),
});
