/** What is sent of the text around the cursor, and what may come back. */
export interface Gap {
  prefix: string;
  suffix: string;
  /** Whether the completion ends with its first line. */
  isSingleLine: boolean;
}

/** In characters; some 1,500 and 400 tokens of code, which take a small model on a GPU some tens of milliseconds. */
const MAX_PREFIX = 6_000;
const MAX_SUFFIX = 1_600;

/** What may stand behind the cursor on its line without being in the way of a completion. */
const CLOSING = /^[\s)\]}>"'`;:,]*$/;
/** Lines after which a block begins, whose body is asked for whole. */
const OPENS_BLOCK = /(?:[{([:]|=>|\b(?:then|do|else|begin))\s*$/;

/**
 * The gap at an offset of a text, or undefined where nothing is to be completed: in the middle of a line, where the rest
 * of it is more than closing brackets and quotes.
 *
 * Several lines are asked for on an empty line and behind the beginning of a block; one line elsewhere.
 */
export function gapAt(text: string, offset: number): Gap | undefined {
  const lineStart = text.lastIndexOf("\n", offset - 1) + 1;
  const newline = text.indexOf("\n", offset);
  const before = text.slice(lineStart, offset);
  const after = text.slice(offset, newline === -1 ? text.length : newline);
  if (!CLOSING.test(after) || text.slice(0, offset).trim() === "") {
    return undefined;
  }
  return {
    prefix: unixLines(lastLines(text.slice(Math.max(0, offset - MAX_PREFIX), offset), offset > MAX_PREFIX)),
    suffix: unixLines(text.slice(offset, offset + MAX_SUFFIX)),
    isSingleLine: after.trim() !== "" || !(before.trim() === "" || OPENS_BLOCK.test(before)),
  };
}

/**
 * What is shown of a completion: without the lines and brackets that stand behind the cursor already, and without an
 * end of blanks. An empty text is nothing to show.
 */
export function trimmed(completion: string, gap: Gap): string {
  let text = unixLines(completion);
  if (gap.isSingleLine) {
    text = text.slice(0, endOr(text, text.indexOf("\n")));
  }
  text = withoutRepeatedLines(text, gap.suffix).trimEnd();
  return withoutOverlap(text, gap.suffix).trimEnd();
}

/** Cut where the completion arrives at the next line of the file that is not blank. */
function withoutRepeatedLines(text: string, suffix: string): string {
  const [, ...following] = suffix.split("\n");
  const next = following.find((line) => line.trim() !== "")?.trimEnd();
  if (next === undefined) {
    return text;
  }
  const lines = text.split("\n");
  const repeated = lines.findIndex((line, index) => index > 0 && line.trimEnd() === next);
  return repeated === -1 ? text : lines.slice(0, repeated).join("\n");
}

/** Models close the brackets that the editor has closed already: `foo(a)` before `)`. */
function withoutOverlap(text: string, suffix: string): string {
  const rest = suffix.slice(0, endOr(suffix, suffix.indexOf("\n"))).trim();
  for (let length = Math.min(rest.length, text.length); length > 0; length--) {
    if (text.endsWith(rest.slice(0, length)) && closesMore(text, rest.slice(0, length))) {
      return text.slice(0, -length);
    }
  }
  return text;
}

const PAIRS = new Map([
  [")", "("],
  ["]", "["],
  ["}", "{"],
  [">", "<"],
]);

/** Whether the text's last brackets close more than the text itself opened: those close what is before the cursor. */
function closesMore(text: string, end: string): boolean {
  return [...end].every((close) => {
    const open = PAIRS.get(close);
    return open === undefined || text.split(close).length > text.split(open).length;
  });
}

/** From the first whole line on, where the text was cut. */
function lastLines(text: string, wasCut: boolean): string {
  return wasCut ? text.slice(text.indexOf("\n") + 1) : text;
}

/** Models would go on with the line ends that they see, and never write those at which they are to stop. */
function unixLines(text: string): string {
  return text.replaceAll("\r\n", "\n");
}

function endOr(text: string, index: number): number {
  return index === -1 ? text.length : index;
}
