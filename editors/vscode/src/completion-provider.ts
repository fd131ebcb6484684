import { setTimeout as delay } from "node:timers/promises";
import * as vscode from "vscode";
import { BackOff } from "./back-off.ts";
import type { Cluster, CompletionRequest } from "./cluster.ts";
import { type Gap, gapAt, trimmed } from "./completion-text.ts";
import type { Connection } from "./connection.ts";
import { Fault, isAbort } from "./faults.ts";
import { completes, section } from "./settings.ts";

/** In tokens; a longer line is no use. */
const MAX_LINE_TOKENS = 64;

/** In characters on either side of the cursor, more than is sent; files are of many megabytes now and then. */
const MAX_LOOKED_AT = 20_000;

const TOO_LATE = "completion_too_late";

/** What the status bar shows of completion. A pause is for `forMs` milliseconds from now on. */
export type Activity =
  | { kind: "idle" }
  | { kind: "asking" }
  | { kind: "failed"; fault: Fault }
  | { kind: "paused"; fault: Fault; forMs: number };

/** How one model of one cluster is asked with one key: others are others' business. */
interface Pacing {
  cluster: Cluster;
  modelId: string;
  backOff: BackOff;
  /** Why there is a pause, while there is one. */
  refusal: Fault | undefined;
}

/**
 * Code that the cluster fills in at the cursor. Silent where the cluster has no model for it.
 *
 * While a cluster refuses (429, 503), typing asks it nothing: see `BackOff`. Who asks by a command is given a try.
 */
export class CompletionProvider implements vscode.InlineCompletionItemProvider {
  readonly #connection: Connection;
  readonly #log: vscode.LogOutputChannel;
  readonly #show: (activity: Activity) => void;
  readonly #newBackOff: () => BackOff;
  #lastFault = "";
  #pacing: Pacing | undefined;

  constructor(
    connection: Connection,
    log: vscode.LogOutputChannel,
    show: (activity: Activity) => void,
    newBackOff: () => BackOff = () => new BackOff(),
  ) {
    this.#connection = connection;
    this.#log = log;
    this.#show = show;
    this.#newBackOff = newBackOff;
  }

  async provideInlineCompletionItems(
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    token: vscode.CancellationToken,
  ): Promise<vscode.InlineCompletionItem[]> {
    const completion = this.#connection.completion;
    if (completion === undefined || !completes(document.languageId)) {
      return [];
    }
    const isTyped = context.triggerKind === vscode.InlineCompletionTriggerKind.Automatic;
    const pacing = this.#pacingOf(completion.cluster, completion.model.id);
    const { backOff } = pacing;
    const gap = gapIn(document, position);
    if (gap === undefined) {
      return [];
    }
    const aborting = new AbortController();
    const cancelling = token.onCancellationRequested(() => aborting.abort());
    let askedAt = backOff.now;
    try {
      if (isTyped) {
        await delay(section().get<number>("completion.delayMs", 120), undefined, { signal: aborting.signal });
      }
      if (isTyped && backOff.remainingMs > 0) {
        return [];
      }
      this.#show({ kind: "asking" });
      askedAt = backOff.now;
      const text = await completion.cluster.complete(requestOf(completion.model.id, gap), aborting.signal);
      backOff.answered(askedAt);
      this.#rest(pacing);
      const shown = trimmed(text, gap);
      return shown === "" ? [] : [new vscode.InlineCompletionItem(shown, new vscode.Range(position, position))];
    } catch (error) {
      if (error instanceof Fault && error.isRefusal) {
        backOff.refused(askedAt, error.retryAfterMs);
        pacing.refusal = error;
      }
      this.#failed(error, token, pacing);
      return [];
    } finally {
      cancelling.dispose();
    }
  }

  #pacingOf(cluster: Cluster, modelId: string): Pacing {
    if (this.#pacing?.modelId !== modelId || !this.#pacing.cluster.isSame(cluster)) {
      this.#pacing = { cluster, modelId, backOff: this.#newBackOff(), refusal: undefined };
    }
    return this.#pacing;
  }

  /** Show that nothing is asked: for now, or until a key is pressed. */
  #rest({ backOff, refusal }: Pacing): void {
    const forMs = backOff.remainingMs;
    this.#show(forMs > 0 && refusal !== undefined ? { kind: "paused", fault: refusal, forMs } : { kind: "idle" });
  }

  /** The same fault again and again, as a typist would cause it, is logged once. */
  #failed(error: unknown, token: vscode.CancellationToken, pacing: Pacing): void {
    const isRefusal = error instanceof Fault && error.isRefusal;
    // The cluster drops what would come too late for a typist.
    const isLate = error instanceof Fault && error.code === TOO_LATE;
    if (isLate || (!isRefusal && (token.isCancellationRequested || isAbort(error)))) {
      this.#rest(pacing);
      return;
    }
    const fault =
      error instanceof Fault ? error : new Fault("Completion failed; the log of the extension host has more.");
    if (fault.identity !== this.#lastFault) {
      this.#log.error(`completion: ${fault.message}`);
      this.#lastFault = fault.identity;
    }
    if (isRefusal) {
      this.#rest(pacing);
    } else {
      this.#show({ kind: "failed", fault });
    }
  }
}

function requestOf(model: string, gap: Gap): CompletionRequest {
  const maxTokens = section().get<number>("completion.maxTokens", 128);
  return {
    model,
    prompt: gap.prefix,
    suffix: gap.suffix,
    max_tokens: gap.isSingleLine ? Math.min(maxTokens, MAX_LINE_TOKENS) : maxTokens,
    stop: [gap.isSingleLine ? "\n" : "\n\n\n"],
  };
}

function gapIn(document: vscode.TextDocument, position: vscode.Position): Gap | undefined {
  const offset = document.offsetAt(position);
  const begin = document.positionAt(Math.max(0, offset - MAX_LOOKED_AT));
  const before = document.getText(new vscode.Range(begin, position));
  const behind = document.getText(new vscode.Range(position, document.positionAt(offset + MAX_LOOKED_AT)));
  return gapAt(before + behind, before.length);
}
