import assert from "node:assert/strict";
import { test } from "node:test";
import type * as vscode from "vscode";
import { BackOff } from "../src/back-off.ts";
import type { CompletionRequest } from "../src/cluster.ts";
import type { Activity } from "../src/completion-provider.ts";
import type { Connection } from "../src/connection.ts";
import { Fault } from "../src/faults.ts";
import { settings } from "./support/vscode.ts";

const { CompletionProvider } = await import("../src/completion-provider.ts");

const INVOKED = { triggerKind: 0 } as vscode.InlineCompletionContext;
const TYPED = { triggerKind: 1 } as vscode.InlineCompletionContext;
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
  const cluster = { complete: async (request: CompletionRequest) => asked.push(request) && answer, isSame: () => true };
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

/** A typist before a cluster that answers what the test says; its clock is the test's. */
class Typist {
  numAsked = 0;
  now = 0;
  answer: string | Fault = "1";
  readonly shown: Activity[] = [];
  readonly logged: string[] = [];
  key = "k1";
  model = "m";
  readonly #provider: InstanceType<typeof CompletionProvider>;

  constructor() {
    settings.set("enginehouse.completion.delayMs", 0);
    const log = { error: (line: string) => this.logged.push(line) } as unknown as vscode.LogOutputChannel;
    const show = (activity: Activity) => this.shown.push(activity);
    const typist = this;
    const connection = {
      get completion() {
        return { cluster: typist.#cluster(), model: { id: typist.model } };
      },
    } as unknown as Connection;
    this.#provider = new CompletionProvider(connection, log, show, () => new BackOff(() => this.now));
  }

  /** As the connection has it: another object whenever the list of models was read. */
  #cluster(): object {
    const { key } = this;
    const complete = async () => {
      this.numAsked += 1;
      if (this.answer instanceof Fault) {
        throw this.answer;
      }
      return this.answer;
    };
    return { key, complete, isSame: (other: { key: string }) => other.key === key };
  }

  async types(context: vscode.InlineCompletionContext = TYPED): Promise<unknown> {
    const document = new Document("a = \nb\n") as unknown as vscode.TextDocument;
    const at = 4 as unknown as vscode.Position;
    const [item] = await this.#provider.provideInlineCompletionItems(document, at, context, NEVER);
    return item?.insertText;
  }
}

const BUSY = new Fault("Busy.", 503, "engine_overloaded", 5_000);

for (const status of [429, 503]) {
  test(`whoever types on after a ${status} asks nothing until the time that it says`, async () => {
    const typist = new Typist();
    typist.answer = new Fault("Not now.", status, "x", 5_000);
    await typist.types();
    typist.now = 4_999;
    await typist.types();
    assert.equal(typist.numAsked, 1);
    typist.now = 5_000;
    typist.answer = "1 + 2";
    assert.deepEqual([await typist.types(), typist.numAsked], ["1 + 2", 2]);
  });
}

test("keys that were pressed at once are not asked for once one of them was refused", async () => {
  const typist = new Typist();
  typist.answer = BUSY;
  settings.set("enginehouse.completion.delayMs", 0);
  const first = typist.types();
  settings.set("enginehouse.completion.delayMs", 20);
  await Promise.all([first, typist.types(), typist.types()]);
  assert.equal(typist.numAsked, 1);
});

test("a pause is told once, in the status bar and in the log", async () => {
  const typist = new Typist();
  typist.answer = BUSY;
  await typist.types();
  await typist.types();
  await typist.types();
  assert.deepEqual(typist.shown, [{ kind: "asking" }, { kind: "paused", fault: BUSY, forMs: 5_000 }]);
  assert.deepEqual(typist.logged, ["completion: Busy."]);
});

test("a second refusal of one kind is not logged, though it says another time", async () => {
  const typist = new Typist();
  typist.answer = BUSY;
  await typist.types();
  typist.now = 5_000;
  typist.answer = new Fault("Busy. Try again in 9 s.", 503, "engine_overloaded", 9_000);
  await typist.types();
  assert.deepEqual([typist.numAsked, typist.logged.length], [2, 1]);
});

test("whoever asks by a command is given a try, and its answer ends the pause", async () => {
  const typist = new Typist();
  typist.answer = BUSY;
  await typist.types();
  typist.answer = "1";
  assert.equal(await typist.types(INVOKED), "1");
  assert.deepEqual([await typist.types(), typist.shown.at(-1)], ["1", { kind: "idle" }]);
});

test("another key and another model have pauses of their own", async () => {
  const typist = new Typist();
  typist.answer = BUSY;
  await typist.types();
  typist.key = "k2";
  await typist.types();
  typist.model = "n";
  await typist.types();
  await typist.types();
  assert.equal(typist.numAsked, 3);
});

test("what is wrong with a request is shown, and is no reason for a pause", async () => {
  const typist = new Typist();
  const fault = new Fault("Too long.", 400);
  typist.answer = fault;
  await typist.types();
  await typist.types();
  assert.deepEqual([typist.numAsked, typist.shown.at(-1)], [2, { kind: "failed", fault }]);
});
