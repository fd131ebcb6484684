// OpenAI's own library for JavaScript.
import OpenAI, { toFile } from "openai";
import { HELLO, LOOK, ROUTER, collect, failure, report } from "./outcomes.mjs";

const client = new OpenAI({ baseURL: `${ROUTER}/v1`, apiKey: "k1", maxRetries: 0 });
const stranger = new OpenAI({ baseURL: `${ROUTER}/v1`, apiKey: "k2", maxRetries: 0 });
const tools = [{ type: "function", function: { name: "look", parameters: LOOK } }];
const words = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
const seen = (error) => ({
  kind: error.constructor.name, status: error.status ?? null, code: error.code ?? null, named: !!error.requestID,
});

const hear = async (fields) => client.audio.transcriptions.create({
  model: "hears", file: await toFile(Buffer.alloc(32_000), "a.wav"), ...fields,
});
const speak = (fields) => client.audio.speech.create({ model: "speaks", voice: "alloy", input: "Hello.", ...fields });

const ask = (fields) => client.chat.completions.create({ model: "m", messages: HELLO, temperature: 0, ...fields });
const read = async (fields) => collect(await ask({ stream: true, ...fields }));

await report({
  "a chat": async () => {
    const answer = await ask({ max_tokens: 5 });
    return { finish: answer.choices[0].finish_reason, tokens: answer.usage.completion_tokens, named: !!answer._request_id };
  },
  "a stream": async () => {
    const [whole, chunks] = [await ask({ max_tokens: 9 }), await read({ max_tokens: 9 })];
    return { same: words(chunks) === whole.choices[0].message.content, finish: chunks.at(-1).choices[0].finish_reason };
  },
  "a stream's usage": async () => {
    const chunks = await read({ max_tokens: 4, stream_options: { include_usage: true } });
    return { tokens: chunks.at(-1).usage.completion_tokens, others: chunks.filter((chunk) => chunk.usage).length - 1 };
  },
  "a completion": async () => {
    const answer = await client.completions.create({ model: "m", prompt: "one two", max_tokens: 3 });
    return { text: typeof answer.choices[0].text, finish: answer.choices[0].finish_reason };
  },
  "a completion's stream": async () => {
    const stream = await client.completions.create({ model: "m", prompt: "one two", max_tokens: 3, stream: true });
    const chunks = await collect(stream);
    return { texts: chunks.filter((chunk) => chunk.choices[0]?.text).length, finish: chunks.at(-1).choices[0].finish_reason };
  },
  "vectors": async () => {
    const answer = await client.embeddings.create({ model: "vectors", input: "one" });
    return answer.data[0].embedding;
  },
  "models": async () => {
    const found = await collect(client.models.list());
    return { m: found.some((model) => model.id === "m"), context: (await client.models.retrieve("m")).max_model_len };
  },
  "a round of tools": async () => {
    const stream = client.chat.completions.stream({ model: "tools", messages: HELLO, tools });
    const { message, finish_reason: finish } = (await stream.finalChatCompletion()).choices[0];
    const [call] = message.tool_calls;
    const result = { role: "tool", tool_call_id: call.id, content: "The secret word is plum." };
    const chunks = await read({ model: "tools", messages: [...HELLO, message, result], tools });
    return { finish, called: call.function, thought: message.reasoning_content, answer: words(chunks) };
  },
  "responses": async () => {
    const events = await collect(await client.responses.create({ model: "m", input: "Say hello.", stream: true }));
    return { first: events[0].type, last: events.at(-1).type, status: events.at(-1).response.status };
  },
  "a recording": async () => {
    const [heard, text] = [await hear({ response_format: "verbose_json" }), await hear({ response_format: "text" })];
    return { begins: heard.text.slice(0, 36), lasts: heard.duration, same: text.trim() === heard.text };
  },
  "a recording's stream": async () => {
    const events = await collect(await hear({ stream: true }));
    const said = events.map((event) => event.delta ?? "").join("");
    return { last: events.at(-1).type, same: said === events.at(-1).text };
  },
  "a translation": async () => {
    const heard = await client.audio.translations.create({ model: "hears", file: await toFile(Buffer.alloc(9), "a.wav") });
    return heard.text.slice(0, 11);
  },
  "speech": async () => {
    const [wav, response] = [Buffer.from(await (await speak({})).arrayBuffer()), await speak({ response_format: "pcm" })];
    let bytes = 0;
    for await (const part of response.body) bytes += part.length;
    return { begins: wav.toString("latin1", 0, 4), same: wav.length - 44 === bytes, kind: response.headers.get("content-type") };
  },
  "a model without sound": () => failure(() => speak({ model: "m" }), seen),
  "a response that is not kept": () =>
    failure(() => client.responses.create({ model: "m", input: "x", previous_response_id: "resp_gone" }), seen),
  "a model that is not there": () => failure(() => ask({ model: "nobody" }), seen),
  "a wrong field": () => failure(() => ask({ temperature: 9 }), seen),
  "a wrong key": () => failure(() => stranger.models.list(), seen),
  "an error before a stream": () => failure(() => read({ model: "busy" }), seen),
  "an error that is tried again": async () => {
    const patient = new OpenAI({ baseURL: `${ROUTER}/v1`, apiKey: "k1", maxRetries: 1 });
    const answer = await patient.chat.completions.create({ model: "busy-once", messages: HELLO });
    return answer.choices[0].message.content;
  },
  "an error in a stream": async () => {
    const chunks = [];
    const error = await failure(async () => {
      for await (const chunk of await ask({ model: "cut", stream: true })) chunks.push(chunk);
    }, seen);
    return { error, before: words(chunks) };
  },
  "comments": async () => ({ said: words(await read({ model: "slow", max_tokens: 3 })).length > 0 }),
  "a client that leaves": async () => {
    const stream = await ask({ stream: true, model: "endless" });
    for await (const _ of stream) break;
    return "left";
  },
});
