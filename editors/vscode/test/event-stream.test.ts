import assert from "node:assert/strict";
import { test } from "node:test";
import { eventsOf } from "../src/event-stream.ts";

async function read(...chunks: (string | Uint8Array)[]): Promise<string[]> {
  async function* bytes() {
    for (const chunk of chunks) {
      yield typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
    }
  }
  return Array.fromAsync(eventsOf(bytes()));
}

test("each event's data comes once", async () => {
  assert.deepEqual(await read("data: a\n\ndata: b\n\n"), ["a", "b"]);
});

test("comments and other fields are left out", async () => {
  assert.deepEqual(await read(": keep-alive\n\nevent: x\nid: 1\ndata: a\n\n: keep-alive\n\n"), ["a"]);
});

test("lines may end in any of three ways", async () => {
  assert.deepEqual(await read("data: a\r\n\r\ndata: b\r\rdata: c\n\n"), ["a", "b", "c"]);
});

test("data of several lines is one event", async () => {
  assert.deepEqual(await read("data: a\ndata: b\n\n"), ["a\nb"]);
});

test("the space after the colon may be missing, and only one is taken away", async () => {
  assert.deepEqual(await read("data:a\n\ndata:  b\n\ndata\n\n"), ["a", " b", ""]);
});

test("an event that the end cuts off does not come", async () => {
  assert.deepEqual(await read("data: a\n\ndata: b"), ["a"]);
});

test("it does not matter where chunks end", async () => {
  const stream = new TextEncoder().encode('data: {"a": "ü€𝄞"}\r\n\r\n: keep-alive\r\n\r\ndata: b\n\n');
  for (let at = 0; at <= stream.length; at++) {
    assert.deepEqual(await read(stream.subarray(0, at), stream.subarray(at)), ['{"a": "ü€𝄞"}', "b"]);
  }
});
