// What every script here does: run its scenarios one after another, and print what each one gave as JSON.

// Some libraries write to the console; the output is for the outcomes alone.
console.log = console.error;

/** The router, without a path at its end. */
export const ROUTER = process.argv[2];

export const HELLO = [{ role: "user", content: "Say hello." }];
export const LOOK = { type: "object", properties: { at: { type: "string" } } };

/** A scenario that throws what it did not expect gives that, so that it is seen in the test. */
export async function report(scenarios) {
  const outcomes = {};
  for (const [name, scenario] of Object.entries(scenarios)) {
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

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}
