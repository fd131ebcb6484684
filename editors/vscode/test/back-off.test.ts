import assert from "node:assert/strict";
import { test } from "node:test";
import { BackOff } from "../src/back-off.ts";

/** A back-off whose clock the test sets. */
function atRest(): { backOff: BackOff; clock: { ms: number } } {
  const clock = { ms: 5_000 };
  return { backOff: new BackOff(() => clock.ms), clock };
}

test("at first there is no pause", () => {
  assert.equal(atRest().backOff.remainingMs, 0);
});

test("a pause is as long as the cluster asks for", () => {
  const { backOff, clock } = atRest();
  backOff.refused(clock.ms, 7_000);
  clock.ms += 6_999;
  assert.equal(backOff.remainingMs, 1);
  clock.ms += 1;
  assert.equal(backOff.remainingMs, 0);
});

test("each refusal in a row doubles the pause, to a minute", () => {
  const { backOff, clock } = atRest();
  const pauses = Array.from({ length: 8 }, () => {
    backOff.refused(clock.ms, 500);
    const pause = backOff.remainingMs;
    clock.ms += pause;
    return pause;
  });
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
});

test("an answer ends the pause and begins anew", () => {
  const { backOff, clock } = atRest();
  backOff.refused(clock.ms, undefined);
  backOff.refused(clock.ms, undefined);
  backOff.answered(clock.ms);
  assert.equal(backOff.remainingMs, 0);
  backOff.refused(clock.ms, undefined);
  assert.equal(backOff.remainingMs, 1_000);
});

test("what was asked before the pause neither ends it nor makes it longer", () => {
  const { backOff, clock } = atRest();
  const early = clock.ms;
  clock.ms += 10;
  backOff.refused(clock.ms, undefined);
  backOff.refused(early, 60_000);
  backOff.answered(early);
  assert.equal(backOff.remainingMs, 1_000);
});

test("nobody waits for more than a day", () => {
  const { backOff, clock } = atRest();
  backOff.refused(clock.ms, 1e12);
  assert.equal(backOff.remainingMs, 24 * 3_600_000);
});
