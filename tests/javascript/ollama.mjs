// Ollama's own library for JavaScript.
import { Ollama } from "ollama";
import { HELLO, LOOK, ROUTER, collect, failure, report } from "./outcomes.mjs";

const client = new Ollama({ host: ROUTER, headers: { authorization: "Bearer k1" } });
const tools = [{ type: "function", function: { name: "look", description: "Looks.", parameters: LOOK } }];
const options = { num_predict: 5, temperature: 0 };
const chat = (fields) => client.chat({ model: "m", messages: HELLO, options, ...fields });
const read = async (fields) => collect(await chat({ stream: true, ...fields }));
const words = (parts) => parts.map((part) => part.message.content).join("");

await report({
  "models": async () => (await client.list()).models.map((model) => model.model).includes("m"),
  "a model": async () => Array.isArray((await client.show({ model: "m" })).capabilities),
  "a chat": async () => {
    const answer = await chat({});
    return { done: answer.done, reason: answer.done_reason, tokens: answer.eval_count };
  },
  "a stream": async () => {
    const [whole, parts] = [await chat({}), await read({})];
    return { same: words(parts) === whole.message.content, done: parts.at(-1).done, tokens: parts.at(-1).eval_count };
  },
  "a completion": async () => {
    const answer = await client.generate({ model: "m", prompt: "one two", options });
    return { said: answer.response.length > 0, done: answer.done };
  },
  "vectors": async () => (await client.embed({ model: "vectors", input: "one" })).embeddings,
  "a call of a tool": async () => {
    const calls = (await read({ model: "tools", tools })).flatMap((part) => part.message.tool_calls ?? []);
    return calls.map(({ function: { name, arguments: given } }) => ({ name, arguments: given }));
  },
  "a model that is not there": () => failure(() => chat({ model: "nobody" }), (error) => error.status_code),
  "an error before a stream": () => failure(() => read({ model: "busy" }), (error) => error.status_code),
  "an error in a stream": () => failure(() => read({ model: "cut" }), () => "an error"),
  "comments": async () => ({ said: words(await read({ model: "slow" })).length > 0 }),
});
