import { withoutKey } from "./address.ts";
import { type Piece, piecesOf } from "./chat-answer.ts";
import type { Message } from "./conversation.ts";
import { eventsOf } from "./event-stream.ts";
import { Fault, faultOfAnswer, faultOfConnection } from "./faults.ts";
import { type Model, modelsOf } from "./models.ts";

/** Body of a chat completion without what the cluster's client adds. */
export interface ChatRequest {
  model: string;
  messages: Message[];
  tools?: { type: "function"; function: { name: string; description: string; parameters: object } }[];
  tool_choice?: "auto" | "required";
  [option: string]: unknown;
}

export interface CompletionRequest {
  model: string;
  prompt: string;
  suffix: string;
  max_tokens: number;
  stop: string[];
}

/** How long the list of models and a completion may take, in milliseconds. Answers of a chat may take any time. */
const MODELS_TIMEOUT_MS = 10_000;
const COMPLETION_TIMEOUT_MS = 10_000;

/**
 * One cluster's HTTP API.
 *
 * Everything goes through the global `fetch`, which in VS Code knows its proxy settings and the system's certificates.
 * Every method throws a `Fault` when something went wrong, and an `AbortError` when its signal was raised.
 */
export class Cluster {
  /** For messages and logs; a key in the path is left out. */
  readonly shownAddress: string;
  readonly #root: string;
  readonly #key: string;
  readonly #sessionId: string;

  /** `root` is what `rootOf` gives; an empty key is none. `sessionId` keeps completions at one replica's prefix cache. */
  constructor(root: string, key: string, sessionId: string) {
    this.#root = root;
    this.#key = key;
    this.#sessionId = sessionId;
    this.shownAddress = withoutKey(root);
  }

  /** Whether the other is asked at the same place with the same key. */
  isSame(other: Cluster): boolean {
    return this.#root === other.#root && this.#key === other.#key;
  }

  async models(): Promise<Model[]> {
    const response = await this.#ask("/v1/models", { signal: AbortSignal.timeout(MODELS_TIMEOUT_MS) });
    const models = modelsOf(await this.#json(response));
    if (models === undefined) {
      throw new Fault(`${this.shownAddress}/v1/models is no list of models: this is not an Enginehouse cluster.`);
    }
    return models;
  }

  async *chat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<Piece> {
    const body = { ...request, stream: true, stream_options: { include_usage: true } };
    const response = await this.#ask("/v1/chat/completions", { method: "POST", body: bodyOf(body), signal });
    if (response.body === null) {
      throw new Fault("The answer has no body. A proxy on the way may have removed it.");
    }
    try {
      yield* piecesOf(eventsOf(response.body));
    } catch (error) {
      throw this.#named(error, signal);
    }
  }

  /** What the model puts between prompt and suffix. */
  async complete(request: CompletionRequest, signal: AbortSignal): Promise<string> {
    const response = await this.#ask("/v1/completions", {
      method: "POST",
      // Temperature 0: the same gap is completed the same, and from the cluster's cache.
      body: bodyOf({ ...request, temperature: 0, stream: false }),
      headers: { "x-session-id": this.#sessionId },
      signal: AbortSignal.any([signal, AbortSignal.timeout(COMPLETION_TIMEOUT_MS)]),
    });
    const answer = (await this.#json(response)) as { choices?: { text?: unknown }[] } | null;
    const text = answer?.choices?.[0]?.text;
    return typeof text === "string" ? text : "";
  }

  async #ask(path: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("content-type", "application/json");
    if (this.#key !== "") {
      headers.set("authorization", `Bearer ${this.#key}`);
    }
    let response: Response;
    try {
      response = await fetch(this.#root + path, { ...init, headers });
    } catch (error) {
      throw this.#named(error, init.signal);
    }
    if (!response.ok) {
      const body = await response.text().catch(() => "");
      throw faultOfAnswer(response.status, body, this.shownAddress, response.headers.get("retry-after"));
    }
    return response;
  }

  async #json(response: Response): Promise<unknown> {
    try {
      return await response.json();
    } catch (error) {
      if (error instanceof SyntaxError) {
        throw new Fault(`${this.shownAddress} does not answer in JSON: it is another server, or a proxy's page.`);
      }
      throw this.#named(error, undefined);
    }
  }

  #named(error: unknown, signal: AbortSignal | undefined): unknown {
    const isOurs = error instanceof Fault || (signal?.aborted === true && !isTimeout(signal.reason));
    return isOurs ? error : faultOfConnection(error, this.shownAddress);
  }
}

/** Texts may have been cut within a letter of two halves, as an emoji is, and no cluster reads half a letter. */
function bodyOf(request: object): string {
  return JSON.stringify(request, (_name, value: unknown) => (typeof value === "string" ? value.toWellFormed() : value));
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === "TimeoutError";
}
