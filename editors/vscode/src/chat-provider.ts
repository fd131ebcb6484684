import * as vscode from "vscode";
import type { Piece } from "./chat-answer.ts";
import type { ChatRequest, Cluster } from "./cluster.ts";
import type { Connection } from "./connection.ts";
import { messagesOf } from "./conversation.ts";
import { Fault } from "./faults.ts";
import { limitsOf, type Model, shownName } from "./models.ts";
import { textOf, turnsOf } from "./vscode-parts.ts";

/** Characters of one token, on the low side: code has more tokens than prose, and too long a prompt is refused. */
const CHARACTERS_PER_TOKEN = 3.5;
const TOKENS_PER_MESSAGE = 4;

/** What others may ask for beside the messages. VS Code's own chat adds options of its own, which no engine knows. */
const OPTIONS = [
  "frequency_penalty",
  "max_tokens",
  "presence_penalty",
  "reasoning_effort",
  "seed",
  "stop",
  "temperature",
  "top_p",
];

type Progress = vscode.Progress<vscode.LanguageModelResponsePart>;
type ThinkingPart = new (text: string) => vscode.LanguageModelTextPart;

/** The cluster's models in VS Code's chat. */
export class ChatProvider implements vscode.LanguageModelChatProvider {
  readonly onDidChangeLanguageModelChatInformation: vscode.Event<void>;
  readonly #connection: Connection;
  readonly #log: vscode.LogOutputChannel;

  constructor(connection: Connection, log: vscode.LogOutputChannel) {
    this.#connection = connection;
    this.#log = log;
    this.onDidChangeLanguageModelChatInformation = connection.onDidChange;
  }

  async provideLanguageModelChatInformation({
    silent,
  }: vscode.PrepareLanguageModelChatModelOptions): Promise<vscode.LanguageModelChatInformation[]> {
    let state = await this.#connection.known();
    if (state.kind !== "ready" && !silent) {
      await vscode.commands.executeCommand("enginehouse.setUp");
      state = await this.#connection.known();
    }
    return state.kind === "ready" ? state.models.filter((model) => model.chats).map(informationOf) : [];
  }

  async provideLanguageModelChatResponse(
    model: vscode.LanguageModelChatInformation,
    messages: readonly vscode.LanguageModelChatRequestMessage[],
    options: vscode.ProvideLanguageModelChatResponseOptions,
    progress: Progress,
    token: vscode.CancellationToken,
  ): Promise<void> {
    const aborting = new AbortController();
    const cancelling = token.onCancellationRequested(() => aborting.abort());
    try {
      const request = requestOf(model.id, messages, options);
      await this.#answer(await this.#cluster(), request, progress, aborting.signal);
    } catch (error) {
      if (token.isCancellationRequested) {
        return;
      }
      this.#log.error(`${model.id}: ${error instanceof Error ? error.message : "failed"}`);
      throw error;
    } finally {
      cancelling.dispose();
    }
  }

  async provideTokenCount(
    _model: vscode.LanguageModelChatInformation,
    text: string | vscode.LanguageModelChatRequestMessage,
  ): Promise<number> {
    const isMessage = typeof text !== "string";
    const characters = (isMessage ? textOf(text) : text).length;
    return Math.ceil(characters / CHARACTERS_PER_TOKEN) + (isMessage ? TOKENS_PER_MESSAGE : 0);
  }

  async #cluster(): Promise<Cluster> {
    const state = await this.#connection.known();
    switch (state.kind) {
      case "ready":
        return state.cluster;
      case "failed":
        throw state.fault;
      case "not set up":
        throw new Fault("No cluster is set up. Run the command “Enginehouse: Set Up”.");
    }
  }

  async #answer(cluster: Cluster, request: ChatRequest, progress: Progress, signal: AbortSignal): Promise<void> {
    const started = Date.now();
    let isEmpty = true;
    for await (const piece of cluster.chat(request, signal)) {
      if (piece.kind !== "end") {
        report(piece, progress);
        isEmpty &&= piece.kind === "reasoning";
        continue;
      }
      const tokens = `${piece.promptTokens ?? "?"} tokens read, ${piece.completionTokens ?? "?"} written`;
      this.#log.info(`${request.model}: ${tokens}, ${Date.now() - started} ms, ended by ${piece.reason}`);
      if (isEmpty) {
        throw new Fault(
          piece.reason === "length"
            ? `${request.model} had no room left for an answer. Begin a new chat, or attach less.`
            : `${request.model} answered with nothing. Ask in other words, or choose another model.`,
        );
      }
    }
  }
}

function informationOf(model: Model): vscode.LanguageModelChatInformation {
  const context = model.contextLength === undefined ? "" : `, ${model.contextLength} tokens of context`;
  return {
    id: model.id,
    name: shownName(model),
    family: model.root,
    version: "1",
    tooltip: `${model.root} on Enginehouse${context}`,
    ...(model.isReady ? {} : { detail: "asleep or starting" }),
    ...limitsOf(model),
    capabilities: { toolCalling: model.hasTools, imageInput: model.seesImages },
  };
}

function requestOf(
  model: string,
  messages: readonly vscode.LanguageModelChatRequestMessage[],
  { modelOptions, tools, toolMode }: vscode.ProvideLanguageModelChatResponseOptions,
): ChatRequest {
  const request: ChatRequest = { model, messages: messagesOf(turnsOf(messages)) };
  for (const name of OPTIONS.filter((option) => modelOptions?.[option] !== undefined)) {
    request[name] = modelOptions?.[name];
  }
  if (tools !== undefined && tools.length > 0) {
    request.tools = tools.map(({ name, description, inputSchema }) => {
      const parameters = inputSchema ?? { type: "object", properties: {} };
      return { type: "function", function: { name, description, parameters } };
    });
    request.tool_choice = toolMode === vscode.LanguageModelChatToolMode.Required ? "required" : "auto";
  }
  return request;
}

function report(piece: Exclude<Piece, { kind: "end" }>, progress: Progress): void {
  switch (piece.kind) {
    case "text":
      progress.report(new vscode.LanguageModelTextPart(piece.text));
      break;
    case "call":
      progress.report(new vscode.LanguageModelToolCallPart(piece.id, piece.name, piece.input));
      break;
    case "reasoning": {
      // Not in the stable API, but there: where a release has no such part, reasoning is not shown.
      const Thinking = (vscode as unknown as { LanguageModelThinkingPart?: ThinkingPart }).LanguageModelThinkingPart;
      if (Thinking !== undefined) {
        progress.report(new Thinking(piece.text));
      }
    }
  }
}
