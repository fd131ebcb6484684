import assert from "node:assert/strict";
import { test } from "node:test";
import { type Gap, gapAt, trimmed } from "../src/completion-text.ts";

/** The gap at the `|` of a text. */
function gap(marked: string): Gap | undefined {
  return gapAt(marked.replace("|", ""), marked.indexOf("|"));
}

function shown(marked: string, completion: string): string {
  const found = gap(marked);
  assert.ok(found);
  return trimmed(completion, found);
}

test("what is before the cursor and behind it", () => {
  assert.deepEqual(gap("a = |\nb = 2\n"), { prefix: "a = ", suffix: "\nb = 2\n", isSingleLine: true });
});

for (const marked of ["foo(|x)", "ret|urn a", "x| = 1"]) {
  test(`nothing is completed in the middle of a line: ${marked}`, () => {
    assert.equal(gap(marked), undefined);
  });
}

test("nothing is completed in a file without a word before the cursor", () => {
  assert.equal(gap("\n |\n"), undefined);
});

for (const marked of [
  "def f():\n    |",
  "if (x) {|",
  "const f = () =>|",
  "for x in y:|",
  "a = [|",
  "while x; do|",
  "a = 1\n|\n",
]) {
  test(`several lines may come: ${JSON.stringify(marked)}`, () => {
    assert.equal(gap(marked)?.isSingleLine, false);
  });
}

for (const marked of ["a = |", "    return |", "foo(|)", "if (x) {|}"]) {
  test(`one line comes: ${JSON.stringify(marked)}`, () => {
    assert.equal(gap(marked)?.isSingleLine, true);
  });
}

test("line ends are those at which completions stop, whatever the file has", () => {
  assert.deepEqual(gap("x\r\na = |\r\nb = 2\r\n"), { prefix: "x\na = ", suffix: "\nb = 2\n", isSingleLine: true });
});

test("long files are cut at the beginning of a line, and behind the cursor", () => {
  const line = "x = 1234567890\n";
  const found = gap(`${line.repeat(2000)}y = |\n${line.repeat(1000)}`);
  assert.ok(found);
  assert.ok(found.prefix.startsWith("x = ") && found.prefix.length < 6000 && found.prefix.length > 5900);
  assert.equal(found.suffix.length, 1600);
});

const TRIMMED: [string, string, string, string][] = [
  ["one line is cut at its end", "a = |", "1\nb = 2", "1"],
  ["several lines stay", "def f():\n    |", "a = 1\n    return a\n", "a = 1\n    return a"],
  ["blanks at the end go", "def f():\n    |", "return 1  \n\n\n", "return 1"],
  [
    "it stops where the file goes on",
    "def f():\n    |\n\ndef g():\n",
    "return 1\n\ndef g():\n    return 2",
    "return 1",
  ],
  ["brackets that are closed already are not closed again", "print(|)", "a)", "a"],
  ["also behind blanks", "print(| )", "a)", "a"],
  ["nor quotes", 'print("|")', 'hello")', "hello"],
  ["brackets of its own stay", "print(|)", "len(a)", "len(a)"],
  ["and both", "print(|)", "len(a))", "len(a)"],
  ["a line of the other system's ends", "a = |", "1\r\nb", "1"],
  ["nothing but blanks is nothing", "a = |", "  \n", ""],
];
for (const [name, marked, completion, expected] of TRIMMED) {
  test(name, () => {
    assert.equal(shown(marked, completion), expected);
  });
}
