import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Cluster } from "../src/cluster.ts";

interface Asked {
  url: string | undefined;
  headers: IncomingMessage["headers"];
  body: Record<string, unknown>;
}

type Answer = (response: ServerResponse) => void;

/** A cluster that answers every request the same, on a port of its own, and what it was asked. */
async function withCluster(answer: Answer, use: (root: string, asked: Asked[]) => Promise<void>): Promise<void> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const text = (await request.toArray()).join("");
    asked.push({ url: request.url, headers: request.headers, body: text === "" ? {} : JSON.parse(text) });
    answer(response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function json(document: object, status = 200): Answer {
  return (response) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
}

const never = new AbortController().signal;
const GAP = { model: "m", prompt: "a", suffix: "b", max_tokens: 8, stop: ["\n"] };

test("models are asked for with the key", async () => {
  await withCluster(json({ data: [{ id: "m" }] }), async (root, asked) => {
    const [model] = await new Cluster(root, "k1", "s1").models();
    assert.deepEqual([model?.id, asked[0]?.url, asked[0]?.headers.authorization], ["m", "/v1/models", "Bearer k1"]);
  });
});

test("without a key none is sent", async () => {
  await withCluster(json({ data: [] }), async (root, asked) => {
    await new Cluster(root, "", "s1").models();
    assert.equal(asked[0]?.headers.authorization, undefined);
  });
});

test("a refused key is a fault that says so", async () => {
  await withCluster(json({ error: { message: "no", code: "invalid_api_key" } }, 401), async (root) => {
    await assert.rejects(new Cluster(root, "k1", "s1").models(), /does not accept the key/);
  });
});

test("another server is told from a cluster", async () => {
  await withCluster(
    (response) => response.end("<html>"),
    (root) => assert.rejects(new Cluster(root, "", "s1").models(), /not answer in JSON/),
  );
  await withCluster(json({ hello: "you" }), (root) => assert.rejects(new Cluster(root, "", "s1").models(), /no list/));
});

test("nobody at the address is a fault that names it, without the key in its path", async () => {
  let closed = "";
  await withCluster(json({}), async (root) => {
    closed = root;
  });
  await assert.rejects(new Cluster(`${closed}/k/secret`, "", "s1").models(), (error: Error) => {
    assert.match(error.message, /Nothing listens at .*\/k\/…/);
    return true;
  });
});

test("a completion is asked for with both texts, at temperature 0, and with the session's name", async () => {
  await withCluster(json({ choices: [{ text: "middle" }] }), async (root, asked) => {
    assert.equal(await new Cluster(root, "", "s1").complete(GAP, never), "middle");
    assert.deepEqual(asked[0]?.body, { ...GAP, temperature: 0, stream: false });
    assert.deepEqual([asked[0]?.url, asked[0]?.headers["x-session-id"]], ["/v1/completions", "s1"]);
  });
});

test("half a letter, where a text was cut, is not sent", async () => {
  await withCluster(json({ choices: [{ text: "" }] }), async (root, asked) => {
    await new Cluster(root, "", "s1").complete({ ...GAP, prompt: "\ude00 = 1 😀", suffix: "a\ud83d" }, never);
    assert.deepEqual([asked[0]?.body["prompt"], asked[0]?.body["suffix"]], ["\ufffd = 1 😀", "a\ufffd"]);
  });
});

test("a completion that is given up ends the request", async () => {
  const giving = new AbortController();
  let isClosed: Promise<unknown> = Promise.resolve();
  const hang: Answer = (response) => {
    isClosed = new Promise((done) => response.on("close", done));
    giving.abort();
  };
  await withCluster(hang, async (root) => {
    await assert.rejects(new Cluster(root, "", "s1").complete(GAP, giving.signal), { name: "AbortError" });
    await isClosed;
  });
});

test("a chat that breaks off in the middle is a fault", async () => {
  const breaks: Answer = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"choices": [{"delta": {"content": "Hal"}}]}\n\n', () => response.destroy());
  };
  await withCluster(breaks, async (root) => {
    const pieces = new Cluster(root, "", "s1").chat({ model: "m", messages: [] }, never);
    assert.deepEqual((await pieces.next()).value, { kind: "text", text: "Hal" });
    await assert.rejects(pieces.next(), /connection .* failed/);
  });
});
