import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { LogOutputChannel, SecretStorage } from "vscode";
import { change, EventEmitter } from "./support/vscode.ts";

const { Connection } = await import("../src/connection.ts");

const secrets = { get: async () => undefined, onDidChange: new EventEmitter().event } as unknown as SecretStorage;
const log = { info: () => {} } as unknown as LogOutputChannel;

async function listening(context: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function connected(context: TestContext): InstanceType<typeof Connection> {
  const connection = new Connection(secrets, log, "s1");
  context.after(() => connection.dispose());
  return connection;
}

function modelsOf(name: string): RequestListener {
  return (_request, response) => response.end(JSON.stringify({ data: [{ id: name }] }));
}

test("whoever types another address gets its models, though the one before does not answer", async (context) => {
  let arrived: () => void = () => {};
  const isAsked = new Promise<void>((done) => {
    arrived = done;
  });
  const silent = await listening(context, () => arrived());
  const answering = await listening(context, modelsOf("m"));
  const connection = connected(context);
  change("enginehouse.address", silent);
  await isAsked;
  change("enginehouse.address", answering);
  const state = await connection.known();
  assert.deepEqual(state.kind === "ready" && state.models.map((model) => model.id), ["m"]);
});

test("a list that comes late is not that of the address of now", async (context) => {
  let answer: () => void = () => {};
  let arrived: () => void = () => {};
  const isAsked = new Promise<void>((done) => {
    arrived = done;
  });
  const late = await listening(context, (request, response) => {
    answer = () => modelsOf("late")(request, response);
    arrived();
  });
  const answering = await listening(context, modelsOf("m"));
  const connection = connected(context);
  change("enginehouse.address", late);
  await isAsked;
  const overtaken = connection.known();
  change("enginehouse.address", answering);
  await connection.known();
  answer();
  const state = await overtaken;
  assert.deepEqual(state.kind === "ready" && state.models.map((model) => model.id), ["m"]);
});

test("a cluster that says another time to wait has not changed", async (context) => {
  let asked = 0;
  const busy = await listening(context, (_request, response) => {
    asked += 1;
    response.writeHead(503, { "retry-after": `${asked}` }).end();
  });
  change("enginehouse.address", busy);
  const connection = connected(context);
  let changes = 0;
  connection.onDidChange(() => {
    changes += 1;
  });
  await connection.refresh();
  await connection.refresh();
  assert.deepEqual([asked, changes], [2, 1]);
});
