// Ollama's own library for JavaScript.
import { Ollama } from "ollama";
import {
  CALLING, COUNT, HEADERS, HELLO, KEY, LONG, LOOK, M, MANY_TOOLS, ROUTER, SURE, TOO_LONG, WRONG_KEY,
  collect, either, failure, isVector, needs, report, sure,
} from "./outcomes.mjs";

const client = new Ollama({ host: ROUTER, headers: { ...HEADERS, authorization: `Bearer ${KEY}` } });
const stranger = new Ollama({ host: ROUTER, headers: { authorization: `Bearer ${WRONG_KEY}` } });
const tools = [{ type: "function", function: { name: "look", description: "Looks.", parameters: LOOK } }];
const options = { num_predict: 5, temperature: 0 };
const chat = (fields) => client.chat({ model: M, messages: HELLO, options, ...fields });
const read = async (fields) => collect(await chat({ stream: true, ...fields }));
const words = (parts) => parts.map((part) => part.message.content).join("");
const status = (error) => error.status_code;

await report({
  "models": async () => (await client.list()).models.map((model) => model.model).includes(M),
  "a model": async () => Array.isArray((await client.show({ model: M })).capabilities),
  "what the model can do": needs("whole", async (model) => {
    const { capabilities, model_info: info } = await client.show({ model });
    const running = (await client.ps()).models.find((one) => one.model === model);
    const architecture = info["general.architecture"];
    return {
      capabilities: capabilities.sort(), architecture,
      contexts: [info[`${architecture}.context_length`], running.context_length],
    };
  }),
  "a chat": async () => {
    const answer = await chat({});
    return { done: answer.done, reason: answer.done_reason, tokens: answer.eval_count };
  },
  "a stream": async () => {
    const [whole, parts] = [await chat({}), await read({ model: `${M}:latest` })];
    const last = parts.at(-1);
    return {
      same: words(parts) === whole.message.content, done: last.done, tokens: last.eval_count,
      read: last.prompt_eval_count === whole.prompt_eval_count,
    };
  },
  "a completion": async () => {
    const answer = await client.generate({ model: M, prompt: "one two", options });
    return { said: answer.response.length > 0, done: answer.done };
  },
  "a prompt as it is": async () => {
    const asked = { model: M, prompt: "one two", raw: true, options };
    const whole = await client.generate(asked);
    const parts = await collect(await client.generate({ ...asked, stream: true }));
    return { same: parts.map((part) => part.response).join("") === whole.response, tokens: parts.at(-1).eval_count };
  },
  "a suffix": needs("whole", (model) =>
    either(async () => {
      const answer = await client.generate({ model, prompt: "def f(", suffix: "): pass", options });
      return { said: answer.response.length > 0 };
    }, status)),
  "vectors": needs("vectors", async (model) => (await client.embed({ model, input: "one" })).embeddings.map(isVector)),
  "a call of a tool": needs("tools", async (model) => {
    const asked = { model, messages: CALLING, tools, options: { temperature: 0 } };
    const calls = (await read(asked)).flatMap((part) => part.message.tool_calls ?? []);
    return calls.map(({ function: { name, arguments: given } }) => ({ name, given }));
  }),
  "tools that are refused": needs("toolless", (model) => failure(() => chat({ model, tools }), status)),
  "a schema": needs("whole", (model) =>
    either(async () => {
      const answer = await chat({ model, format: SURE, options: { temperature: 0, num_predict: 60 } });
      return sure(answer.message.content);
    }, status)),
  "a large request": needs("tools", async (model) => {
    const many = MANY_TOOLS.map((tool) => ({ type: "function", function: { ...tool, parameters: LOOK } }));
    return words(await read({ model, messages: [{ role: "user", content: "ANSWER:So be it." }], tools: many })).length > 0;
  }),
  "a prompt that does not fit": needs("whole", (model) => failure(() => chat({ model, messages: TOO_LONG }), status)),
  "a model that is not there": () => failure(() => chat({ model: "nobody" }), status),
  "a wrong key": () => failure(() => stranger.chat({ model: M, messages: HELLO }), status),
  "an error before a stream": needs("busy", (model) => failure(() => read({ model }), status)),
  "an error in a stream": needs("cut", (model) => failure(() => read({ model }), () => "an error")),
  "comments": needs("slow", async (model) => ({ said: words(await read({ model })).length > 0 })),
  "a client that leaves": needs("endless", async (model) => {
    const stream = await chat({ model, messages: COUNT, stream: true, options: { num_predict: LONG, temperature: 0 } });
    await failure(async () => {
      for await (const part of stream) if (part.message.content) stream.abort();
    }, () => "it throws");
    return "left";
  }),
});
