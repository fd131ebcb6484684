import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOfAnswer, faultOfConnection } from "../src/faults.ts";

const ANSWERS: [number, string, RegExp][] = [
  [401, "", /does not accept the key.*Set Up/],
  [404, "", /Nothing at http:\/\/host answers.*check the address/],
  [404, '{"error": {"message": "No model x.", "code": "model_not_found"}}', /No model x\..*Choose another model/],
  [429, '{"error": {"message": "10 a day."}}', /used up; try again in 7 s.*10 a day/],
  [503, "", /cannot take the request now; try again in 7 s/],
  [500, "<html>", /failed \(status 500\); its operators/],
  [400, '{"error": {"message": "too long"}}', /refused.*too long/],
];
for (const [status, body, expected] of ANSWERS) {
  test(`status ${status} says what to do`, () => {
    assert.match(faultOfAnswer(status, body, "http://host", "7").message, expected);
  });
}

const WAITS: [string | null, number | undefined][] = [
  [null, undefined],
  ["7", 7_000],
  ["soon", undefined],
  ["Wed, 21 Oct 2015 07:28:00 GMT", 0],
];
for (const [header, expected] of WAITS) {
  test(`retry-after ${header} is ${expected} ms`, () => {
    const fault = faultOfAnswer(503, "", "http://host", header);
    assert.deepEqual([fault.retryAfterMs, fault.isRefusal], [expected, true]);
  });
}

test("a date to wait for is shown as the seconds until then", () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  assert.match(faultOfAnswer(429, "", "http://host", date).message, /try again in (3600|35\d\d) s/);
});

test("what is wrong with a request is no refusal", () => {
  assert.equal(faultOfAnswer(400, "", "http://host", null).isRefusal, false);
});

const CODES: [string, RegExp][] = [
  ["ECONNREFUSED", /Nothing listens/],
  ["ENOTFOUND", /not known here/],
  ["SELF_SIGNED_CERT_IN_CHAIN", /not trusted.*systemCertificates/],
  ["EPROTO", /http:\/\/ instead/],
  ["UND_ERR_CONNECT_TIMEOUT", /in time/],
  ["ECONNRESET", /failed \(ECONNRESET\)/],
];
for (const [code, expected] of CODES) {
  test(`${code} says what to do`, () => {
    const error = new TypeError("fetch failed", { cause: Object.assign(new Error("socket"), { code }) });
    assert.match(faultOfConnection(error, "http://host").message, expected);
  });
}
