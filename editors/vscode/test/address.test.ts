import assert from "node:assert/strict";
import { test } from "node:test";
import { rootOf, withoutKey } from "../src/address.ts";
import { Fault } from "../src/faults.ts";

const ADDRESSES = [
  ["http://127.0.0.1:8000", "http://127.0.0.1:8000"],
  ["  host:8000/v1/ ", "http://host:8000"],
  ["https://ai.example/", "https://ai.example"],
  ["https://ai.example/team/v1", "https://ai.example/team"],
  ["http://host:8000/k/secret/v1", "http://host:8000/k/secret"],
] as const;

for (const [typed, root] of ADDRESSES) {
  test(`the address ${typed} is understood`, () => {
    assert.equal(rootOf(typed), root);
  });
}

for (const typed of ["", "   ", "ftp://host", "http://", "http://me:secret@host:8000"]) {
  test(`what is no address is refused: '${typed}'`, () => {
    assert.throws(() => rootOf(typed), Fault);
  });
}

test("a key in the path is not shown", () => {
  assert.equal(withoutKey("http://host:8000/k/secret"), "http://host:8000/k/…");
});
