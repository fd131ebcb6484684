// What every script here does: run its scenarios one after another, and print what each one gave as JSON.

import questions from "./questions.json" with { type: "json" };

// Some libraries write to the console; the output is for the outcomes alone.
console.log = console.error;

const house = JSON.parse(process.argv[2]);

/** The router, without a path at its end, a key that it accepts, and one that it does not. */
export const ROUTER = house.router;
export const KEY = house.key;
export const WRONG_KEY = `not-${house.key}`;

/** The model that answers in every house. */
export const M = house.models.m;

/** Of the engine's answers: what is kept is not these libraries' business. */
export const HEADERS = { "cache-control": "no-store" };

export const { hello: HELLO, look: LOOK, sure: SURE } = questions;

/** What a model that calls tools is asked. One that takes its answers from its questions says what is behind ANSWER: */
export const { calling: CALLING, result: RESULT } = questions;

/** What takes long to answer, whoever answers, and the tokens that it may take. */
export const { count: COUNT, many: LONG } = questions;

/** As many tools as an editor's agent has, of 2,500 characters each. */
export const MANY_TOOLS = Array.from({ length: 40 }, (_, index) => ({ name: `tool_${index}`, description: "Does it. ".repeat(280) }));
export const TOO_LONG = [{ role: "user", content: "word ".repeat(20_000) }];

/** What an answer has that is to follow the schema SURE. */
export const sure = (text) => Object.entries(JSON.parse(text)).map(([name, value]) => [name, typeof value]);

/** A scenario for a model that not every house has: it gets the model's name, and is left out where there is none. */
export const needs = (role, scenario) => Object.assign(() => scenario(house.models[role]), { role });

/** A scenario that throws what it did not expect gives that, so that it is seen in the test. */
export async function report(scenarios) {
  const outcomes = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (scenario.role !== undefined && !(scenario.role in house.models)) continue;
    try {
      outcomes[name] = await scenario();
    } catch (error) {
      outcomes[name] = { unexpected: `${error?.name}: ${error?.message}` };
    }
  }
  process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
}

/** What `described` makes of the error; "no error" where there is none. */
export async function failure(action, described) {
  try {
    await action();
  } catch (error) {
    return described(error);
  }
  return "no error";
}

/** What the action gives, or what `described` makes of its error: for what not every model can do. */
export async function either(action, described) {
  try {
    return await action();
  } catch (error) {
    return described(error);
  }
}

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Whether these are numbers, and several of them. */
export const isVector = (numbers) => numbers.length > 1 && numbers.every(Number.isFinite);
