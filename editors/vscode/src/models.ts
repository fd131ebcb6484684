/** What the extension knows of one name that the cluster serves. */
export interface Model {
  id: string;
  /** The model that an alias stands for; the same as `id` for a model's own name. */
  root: string;
  /** Prompt and completion of one request, in tokens; undefined where the cluster does not say. */
  contextLength: number | undefined;
  maxOutputTokens: number | undefined;
  isReady: boolean;
  chats: boolean;
  hasTools: boolean;
  seesImages: boolean;
  /** Whether it fills in the middle of code; undefined where the cluster does not say. */
  fillsInMiddle: boolean | undefined;
}

/** What is assumed of a model that does not say how much it reads, in tokens: enough for an agent's first request. */
const UNKNOWN_CONTEXT = 32_768;
/** The part of the context that is kept for the answer, and its most, in tokens. */
const OUTPUT_RATIO = 0.25;
const MAX_OUTPUT = 16_384;

/** The models of `GET /v1/models`, in its order; undefined where that is no list of models. */
export function modelsOf(document: unknown): Model[] | undefined {
  const cards = isRecord(document) ? document["data"] : undefined;
  if (!Array.isArray(cards)) {
    return undefined;
  }
  return cards.filter(isRecord).flatMap((card) => modelOf(card) ?? []);
}

/** What of its context VS Code may fill, and what is left for the answer: together they are never more than it. */
export function limitsOf(model: Model): { maxInputTokens: number; maxOutputTokens: number } {
  const context = model.contextLength ?? UNKNOWN_CONTEXT;
  const share = Math.min(Math.floor(context * OUTPUT_RATIO), MAX_OUTPUT);
  const maxOutputTokens = Math.max(1, Math.min(model.maxOutputTokens ?? share, share));
  return { maxInputTokens: Math.max(1, context - maxOutputTokens), maxOutputTokens };
}

/**
 * The model that completes code: the one that the settings name, or else the first ready one that says it can.
 *
 * Undefined is a cluster without one, and no fault.
 */
export function completionModel(models: readonly Model[], named: string): Model | undefined {
  if (named !== "") {
    return models.find((model) => model.id === named);
  }
  const able = models.filter((model) => model.fillsInMiddle === true);
  return able.find((model) => model.isReady) ?? able[0];
}

/** Of models of which VS Code shows two with one name, which is an alias: `default (qwen)`. */
export function shownName(model: Model): string {
  return model.id === model.root ? model.id : `${model.id} (${model.root})`;
}

function modelOf(card: Record<string, unknown>): Model | undefined {
  const id = card["id"];
  if (typeof id !== "string" || id === "") {
    return undefined;
  }
  const able = abilitiesOf(card["capabilities"]);
  const task = card["task"] ?? "generate"; // a model that sleeps does not say
  return {
    id,
    root: typeof card["root"] === "string" ? card["root"] : id,
    contextLength: count(card["context_length"]) ?? count(card["max_model_len"]),
    maxOutputTokens: count(card["max_output_tokens"]),
    isReady: card["ready_replicas"] !== 0,
    chats: task === "generate" && (able?.includes("chat") ?? true),
    // Where nothing is said, the engine refuses what it cannot do, and says why.
    hasTools: able?.includes("tools") ?? true,
    seesImages: able?.includes("vision") ?? false,
    fillsInMiddle: able?.includes("fim"),
  };
}

/** An empty list is of a model that never ran, of which nothing is known. */
function abilitiesOf(said: unknown): unknown[] | undefined {
  return Array.isArray(said) && said.length > 0 ? said : undefined;
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
