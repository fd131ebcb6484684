import { Fault } from "./faults.ts";

/** One piece of an answer. A call comes once, whole. */
export type Piece =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "call"; id: string; name: string; input: object }
  | { kind: "end"; reason: string; promptTokens: number | undefined; completionTokens: number | undefined };

interface CallDelta {
  index?: number;
  id?: string | null;
  function?: { name?: string | null; arguments?: string | null };
}

interface Delta {
  content?: string | null;
  reasoning_content?: string | null;
  reasoning?: string | null;
  tool_calls?: CallDelta[] | null;
}

interface Chunk {
  error?: { message?: string; code?: string } | string;
  choices?: { delta?: Delta; finish_reason?: string | null }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
}

/**
 * The pieces of a streamed chat completion.
 *
 * Throws a `Fault` where the cluster says that it failed, where a call's arguments are no JSON object, and where the
 * stream ends before the answer does: half an answer must not pass for a whole one.
 */
export async function* piecesOf(events: AsyncIterable<string>): AsyncGenerator<Piece> {
  const calls = new UnfinishedCalls();
  let reason = "";
  let usage: Chunk["usage"];
  for await (const event of events) {
    if (event === "[DONE]") {
      break;
    }
    const chunk = parsed(event);
    usage = chunk.usage ?? usage;
    const choice = chunk.choices?.[0];
    reason = choice?.finish_reason ?? reason;
    const { content, reasoning_content, reasoning, tool_calls } = choice?.delta ?? {};
    const thought = reasoning_content ?? reasoning;
    if (thought) {
      yield { kind: "reasoning", text: thought };
    }
    if (content) {
      yield { kind: "text", text: content };
    }
    for (const call of tool_calls ?? []) {
      calls.add(call);
    }
  }
  if (reason === "") {
    throw new Fault("The answer broke off. Ask again.");
  }
  yield* calls.whole();
  yield { kind: "end", reason, promptTokens: usage?.prompt_tokens, completionTokens: usage?.completion_tokens };
}

function parsed(event: string): Chunk {
  let chunk: Chunk;
  try {
    chunk = JSON.parse(event) as Chunk;
  } catch {
    throw new Fault("The answer is not what a cluster sends. A proxy on the way may have changed it.");
  }
  if (chunk.error !== undefined) {
    const { message, code } = typeof chunk.error === "string" ? { message: chunk.error, code: undefined } : chunk.error;
    throw new Fault(
      `The cluster could not finish the answer; ask again. It says: ${message ?? "nothing"}`,
      undefined,
      code,
    );
  }
  return chunk;
}

/** Tool calls, whose parts come one after the other, of several calls side by side. */
class UnfinishedCalls {
  readonly #calls = new Map<number, { id: string; name: string; text: string }>();

  add(delta: CallDelta): void {
    const index = delta.index ?? 0;
    const call = this.#calls.get(index) ?? { id: "", name: "", text: "" };
    call.id ||= delta.id ?? "";
    call.name ||= delta.function?.name ?? "";
    call.text += delta.function?.arguments ?? "";
    this.#calls.set(index, call);
  }

  *whole(): Generator<Piece> {
    for (const [index, { id, name, text }] of this.#calls) {
      yield { kind: "call", id: id === "" ? `call_${index}` : id, name, input: inputOf(name, text) };
    }
  }
}

function inputOf(name: string, text: string): object {
  try {
    const input: unknown = JSON.parse(text.trim() === "" ? "{}" : text);
    if (typeof input === "object" && input !== null && !Array.isArray(input)) {
      return input;
    }
  } catch {
    // said below
  }
  throw new Fault(
    `The model called the tool ${name} with arguments that are not a JSON object. Ask again, or choose another model.`,
  );
}
