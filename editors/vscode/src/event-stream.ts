/**
 * The data of each server-sent event, as its bytes arrive, in chunks cut anywhere.
 *
 * Lines end with LF, CRLF or CR. Comments, which keep connections alive, and fields other than `data` are left out; so
 * is an event that the end of the stream cuts off.
 */
export async function* eventsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let data: string[] = [];
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    // A CR at the very end may be half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") {
        data.push(...dataOf(line));
      } else if (data.length > 0) {
        yield data.join("\n");
        data = [];
      }
    }
  }
}

function dataOf(line: string): string[] {
  const colon = line.indexOf(":");
  if ((colon === -1 ? line : line.slice(0, colon)) !== "data") {
    return [];
  }
  const value = colon === -1 ? "" : line.slice(colon + 1);
  return [value.startsWith(" ") ? value.slice(1) : value];
}
