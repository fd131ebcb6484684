import { setTimeout as delay } from "node:timers/promises";
import * as vscode from "vscode";
import { type Gap, gapAt, trimmed } from "./completion-text.ts";
import type { Connection } from "./connection.ts";
import { Fault, isAbort } from "./faults.ts";
import { completes, section } from "./settings.ts";

/** In tokens; a longer line is no use. */
const MAX_LINE_TOKENS = 64;

/** In characters on either side of the cursor, more than is sent; files are of many megabytes now and then. */
const MAX_LOOKED_AT = 20_000;

const TOO_LATE = "completion_too_late";

/** What the status bar shows of completion. */
export type Activity = { kind: "idle" } | { kind: "asking" } | { kind: "failed"; fault: Fault };

/** Code that the cluster fills in at the cursor. Silent where the cluster has no model for it. */
export class CompletionProvider implements vscode.InlineCompletionItemProvider {
  readonly #connection: Connection;
  readonly #log: vscode.LogOutputChannel;
  readonly #show: (activity: Activity) => void;
  #lastFault = "";

  constructor(connection: Connection, log: vscode.LogOutputChannel, show: (activity: Activity) => void) {
    this.#connection = connection;
    this.#log = log;
    this.#show = show;
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
    const gap = gapIn(document, position);
    if (gap === undefined) {
      return [];
    }
    const aborting = new AbortController();
    const cancelling = token.onCancellationRequested(() => aborting.abort());
    try {
      if (context.triggerKind === vscode.InlineCompletionTriggerKind.Automatic) {
        await delay(section().get<number>("completion.delayMs", 120), undefined, { signal: aborting.signal });
      }
      const maxTokens = section().get<number>("completion.maxTokens", 128);
      this.#show({ kind: "asking" });
      const text = await completion.cluster.complete(
        {
          model: completion.model.id,
          prompt: gap.prefix,
          suffix: gap.suffix,
          max_tokens: gap.isSingleLine ? Math.min(maxTokens, MAX_LINE_TOKENS) : maxTokens,
          stop: [gap.isSingleLine ? "\n" : "\n\n\n"],
        },
        aborting.signal,
      );
      this.#show({ kind: "idle" });
      const shown = trimmed(text, gap);
      return shown === "" ? [] : [new vscode.InlineCompletionItem(shown, new vscode.Range(position, position))];
    } catch (error) {
      return this.#failed(error, token);
    } finally {
      cancelling.dispose();
    }
  }

  /** The same fault again and again, as a typist would cause it, is logged once. */
  #failed(error: unknown, token: vscode.CancellationToken): [] {
    // The cluster drops what would come too late for a typist.
    const isLate = error instanceof Fault && error.code === TOO_LATE;
    if (token.isCancellationRequested || isAbort(error) || isLate) {
      this.#show({ kind: "idle" });
      return [];
    }
    const fault =
      error instanceof Fault ? error : new Fault("Completion failed; the log of the extension host has more.");
    if (fault.message !== this.#lastFault) {
      this.#log.error(`completion: ${fault.message}`);
      this.#lastFault = fault.message;
    }
    this.#show({ kind: "failed", fault });
    return [];
  }
}

function gapIn(document: vscode.TextDocument, position: vscode.Position): Gap | undefined {
  const offset = document.offsetAt(position);
  const begin = document.positionAt(Math.max(0, offset - MAX_LOOKED_AT));
  const before = document.getText(new vscode.Range(begin, position));
  const behind = document.getText(new vscode.Range(position, document.positionAt(offset + MAX_LOOKED_AT)));
  return gapAt(before + behind, before.length);
}
