import assert from "node:assert/strict";
import { test } from "node:test";
import type * as vscode from "vscode";
import type { CompletionRequest } from "../src/cluster.ts";
import type { Connection } from "../src/connection.ts";
import "./support/vscode.ts";

const { CompletionProvider } = await import("../src/completion-provider.ts");

const INVOKED = { triggerKind: 0 } as vscode.InlineCompletionContext;
const NEVER = { onCancellationRequested: () => ({ dispose: () => {} }) } as unknown as vscode.CancellationToken;
const LOG = { error: () => {} } as unknown as vscode.LogOutputChannel;

/** A document whose positions are offsets, and how many characters of it were read. */
class Document {
  readonly languageId = "typescript";
  readonly #text: string;
  numRead = 0;
  constructor(text: string) {
    this.#text = text;
  }
  offsetAt(position: number): number {
    return position;
  }
  positionAt(offset: number): number {
    return Math.min(offset, this.#text.length);
  }
  getText(range?: { start: number; end: number }): string {
    const text = range === undefined ? this.#text : this.#text.slice(range.start, range.end);
    this.numRead += text.length;
    return text;
  }
}

async function completed(document: Document, at: number, answer: string | undefined) {
  const asked: CompletionRequest[] = [];
  const cluster = { complete: async (request: CompletionRequest) => asked.push(request) && answer };
  const completion = answer === undefined ? undefined : { cluster, model: { id: "m" } };
  const provider = new CompletionProvider({ completion } as unknown as Connection, LOG, () => {});
  const [item] = await provider.provideInlineCompletionItems(
    document as unknown as vscode.TextDocument,
    at as unknown as vscode.Position,
    INVOKED,
    NEVER,
  );
  return { asked, shown: item?.insertText };
}

test("what the model writes is shown", async () => {
  const { asked, shown } = await completed(new Document("a = \nb\n"), 4, "1 + 2\n");
  assert.deepEqual([asked[0]?.prompt, asked[0]?.suffix, shown], ["a = ", "\nb\n", "1 + 2"]);
});

test("of a large file only what is around the cursor is read", async () => {
  const line = "x = 1234567890\n";
  const document = new Document(`${line.repeat(200_000)}y = \n${line.repeat(200_000)}`);
  const { asked } = await completed(document, line.length * 200_000 + 4, "1");
  assert.ok(document.numRead < 100_000, `${document.numRead} characters were read`);
  assert.ok(asked[0]?.prompt.startsWith("x = ") && asked[0].prompt.endsWith("\ny = "));
  assert.equal(asked[0]?.suffix.length, 1600);
});

test("without a model that completes, nothing is read", async () => {
  const document = new Document("a = \n");
  await completed(document, 4, undefined);
  assert.equal(document.numRead, 0);
});
