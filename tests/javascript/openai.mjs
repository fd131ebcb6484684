// OpenAI's own library for JavaScript.
import OpenAI, { toFile } from "openai";
import {
  CALLING, COUNT, HEADERS, HELLO, KEY, LONG, LOOK, M, MANY_TOOLS, RESULT, ROUTER, SURE, TOO_LONG, WRONG_KEY,
  collect, either, failure, isVector, needs, report, sure,
} from "./outcomes.mjs";

const options = { baseURL: `${ROUTER}/v1`, maxRetries: 0, defaultHeaders: HEADERS };
const client = new OpenAI({ ...options, apiKey: KEY });
const stranger = new OpenAI({ ...options, apiKey: WRONG_KEY });
const tools = [{ type: "function", function: { name: "look", parameters: LOOK } }];
const words = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
const seen = (error) => ({
  kind: error.constructor.name, status: error.status ?? null, code: error.code ?? null, named: !!error.requestID,
});
const refused = (error) => ({ status: error.status, code: error.code, param: error.param });

const sound = async (bytes) => ({ file: await toFile(Buffer.alloc(bytes), "a.wav") });
const hear = async (model, fields) => client.audio.transcriptions.create({ ...(await sound(32_000)), model, ...fields });
const speak = (model, fields) => client.audio.speech.create({ model, voice: "alloy", input: "Hello.", ...fields });
const ask = (fields) => client.chat.completions.create({ model: M, messages: HELLO, temperature: 0, ...fields });
const read = async (fields) => collect(await ask({ stream: true, ...fields }));
const respond = (fields) => client.responses.create({ model: M, input: "Say hello.", temperature: 0, ...fields });

await report({
  "a chat": async () => {
    const answer = await ask({ max_tokens: 5 });
    return { finish: answer.choices[0].finish_reason, tokens: answer.usage.completion_tokens, named: !!answer._request_id };
  },
  "a stream": async () => {
    const [whole, chunks] = [await ask({ max_tokens: 9 }), await read({ max_tokens: 9 })];
    return {
      same: words(chunks) === whole.choices[0].message.content, finish: chunks.at(-1).choices[0].finish_reason,
      usages: chunks.filter((chunk) => chunk.usage).length,
    };
  },
  "a stream's usage": async () => {
    const chunks = await read({ max_tokens: 4, stream_options: { include_usage: true } });
    const last = chunks.at(-1);
    return {
      tokens: last.usage.completion_tokens, choices: last.choices.length,
      others: chunks.filter((chunk) => chunk.usage).length - 1,
    };
  },
  "a completion": async () => {
    const answer = await client.completions.create({ model: M, prompt: "one two", max_tokens: 3, temperature: 0 });
    return { text: typeof answer.choices[0].text, finish: answer.choices[0].finish_reason };
  },
  "a completion's stream": async () => {
    const asked = { model: M, prompt: "one two", max_tokens: 3, temperature: 0 };
    const whole = await client.completions.create(asked);
    const chunks = await collect(await client.completions.create({ ...asked, stream: true }));
    const said = chunks.map((chunk) => chunk.choices[0]?.text ?? "").join("");
    return { same: said === whole.choices[0].text, finish: chunks.at(-1).choices[0].finish_reason };
  },
  "a suffix": needs("whole", (model) =>
    either(async () => {
      const asked = { model, prompt: "def f(", suffix: "): pass", max_tokens: 3, temperature: 0 };
      return { said: (await client.completions.create(asked)).choices[0].text.length > 0 };
    }, refused)),
  "vectors": needs("vectors", async (model) => {
    const asked = { model, input: "one" };
    const packed = (await client.embeddings.create(asked)).data[0].embedding;
    const floats = (await client.embeddings.create({ ...asked, encoding_format: "float" })).data[0].embedding;
    return { are: isVector(packed), same: packed.every((number, index) => Math.abs(number - floats[index]) < 1e-5) };
  }),
  "models": async () => {
    const found = await collect(client.models.list());
    const { id, max_model_len, context_length } = await client.models.retrieve(M);
    return { listed: found.some((model) => model.id === id), same: max_model_len === context_length, known: max_model_len > 0 };
  },
  "what the model can do": needs("whole", async (model) => {
    const { capabilities, context_length: context, max_output_tokens: output } = await client.models.retrieve(model);
    return { capabilities, context, output };
  }),
  "a round of tools": needs("tools", async (model) => {
    const stream = client.chat.completions.stream({ model, messages: CALLING, tools, temperature: 0 });
    const thoughts = []; // of fields that the library does not know it keeps the last piece only
    stream.on("chunk", (chunk) => thoughts.push(chunk.choices[0]?.delta?.reasoning_content ?? ""));
    const { message, finish_reason: finish } = (await stream.finalChatCompletion()).choices[0];
    const [call] = message.tool_calls;
    const result = { role: "tool", tool_call_id: call.id, content: RESULT };
    const chunks = await read({ model, messages: [...CALLING, message, result], tools });
    const { name, arguments: given } = call.function;
    return { finish, name, given: JSON.parse(given), thought: thoughts.join(""), answer: words(chunks) };
  }),
  "tools that are left out": needs("toolless", async (model) => {
    const { data, response } = await ask({ model, tools, max_tokens: 3 }).withResponse();
    return { ignored: response.headers.get("x-enginehouse-ignored"), said: data.choices[0].message.content.length > 0 };
  }),
  "a call that is demanded": needs("whole", (model) =>
    either(async () => {
      const { message } = (await ask({ model, tools, tool_choice: "required", max_tokens: 200 })).choices[0];
      return { called: message.tool_calls.map((call) => call.function.name) };
    }, refused)),
  "a schema": needs("whole", (model) =>
    either(async () => {
      const format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: SURE } };
      return sure((await ask({ model, response_format: format, max_tokens: 60 })).choices[0].message.content);
    }, refused)),
  "a large request": async () => {
    const many = MANY_TOOLS.map((tool) => ({ type: "function", function: { ...tool, parameters: LOOK } }));
    return (await ask({ tools: many, max_tokens: 3 })).choices[0].finish_reason;
  },
  "a prompt that does not fit": needs("whole", (model) => failure(() => ask({ model, messages: TOO_LONG }), refused)),
  "responses": async () => {
    const chat = (await ask({ max_tokens: 7 })).choices[0].message.content;
    const whole = await respond({ max_output_tokens: 7 });
    const events = await collect(await respond({ max_output_tokens: 7, stream: true }));
    const said = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join("");
    const last = events.at(-1);
    const same = said === whole.output_text && said === chat;
    return { first: events[0].type, last: last.type, status: last.response.status, same };
  },
  "a recording": needs("hears", async (model) => {
    const [heard, text] = [await hear(model, { response_format: "verbose_json" }), await hear(model, { response_format: "text" })];
    return { begins: heard.text.slice(0, 36), lasts: heard.duration, same: text.trim() === heard.text };
  }),
  "a recording's stream": needs("hears", async (model) => {
    const events = await collect(await hear(model, { stream: true }));
    const said = events.map((event) => event.delta ?? "").join("");
    return { last: events.at(-1).type, same: said === events.at(-1).text };
  }),
  "a translation": needs("hears", async (model) => {
    const heard = await client.audio.translations.create({ ...(await sound(9)), model });
    return heard.text.slice(0, 11);
  }),
  "speech": needs("speaks", async (model) => {
    const [wav, response] = [Buffer.from(await (await speak(model)).arrayBuffer()), await speak(model, { response_format: "pcm" })];
    let bytes = 0;
    for await (const part of response.body) bytes += part.length;
    return { begins: wav.toString("latin1", 0, 4), same: wav.length - 44 === bytes, kind: response.headers.get("content-type") };
  }),
  "a model without sound": () => failure(() => speak(M), seen),
  "a response that ends": async () => {
    const events = await collect(await respond({ stream: true }));
    return { last: events.at(-1).type, status: events.at(-1).response.status };
  },
  "a response with a schema": needs("whole", (model) =>
    either(async () => {
      const text = { format: { type: "json_schema", name: "answer", strict: true, schema: SURE } };
      return sure((await respond({ model, text, max_output_tokens: 60 })).output_text);
    }, refused)),
  "a response that is not kept": () =>
    failure(() => client.responses.create({ model: M, input: "x", previous_response_id: "resp_gone" }), seen),
  "a model that is not there": () => failure(() => ask({ model: "nobody" }), seen),
  "a wrong field": () => failure(() => ask({ temperature: 9 }), seen),
  "a wrong key": () => failure(() => stranger.models.list(), seen),
  "an error before a stream": needs("busy", (model) => failure(() => read({ model }), seen)),
  "an error that is tried again": needs("busy-once", async (model) => {
    const patient = new OpenAI({ ...options, apiKey: KEY, maxRetries: 1 });
    return (await patient.chat.completions.create({ model, messages: HELLO })).choices[0].message.content;
  }),
  "an error in a stream": needs("cut", async (model) => {
    const chunks = [];
    const error = await failure(async () => {
      for await (const chunk of await ask({ model, stream: true })) chunks.push(chunk);
    }, seen);
    return { error, before: words(chunks) };
  }),
  "comments": needs("slow", async (model) => ({ said: words(await read({ model, max_tokens: 3 })).length > 0 })),
  "a client that leaves": needs("endless", async (model) => {
    const stream = await ask({ stream: true, model, messages: COUNT, max_tokens: LONG, ignore_eos: true });
    for await (const _ of stream) break;
    return "left";
  }),
});
