/** One part of a turn: VS Code's parts without its classes, so that what is made of them can be tested anywhere. */
export type Part =
  | { kind: "text"; text: string }
  | { kind: "image"; mimeType: string; base64: string }
  | { kind: "call"; id: string; name: string; input: object }
  | { kind: "result"; id: string; parts: Part[] };

export interface Turn {
  role: "system" | "user" | "assistant";
  parts: Part[];
}

export type UserContent = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

/** A message as the OpenAI API has it. */
export type Message =
  | { role: "system"; content: string }
  | { role: "user"; content: string | UserContent[] }
  | { role: "assistant"; content: string; tool_calls?: ToolCall[] }
  | { role: "tool"; tool_call_id: string; content: string };

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/**
 * The messages of a conversation, in its order.
 *
 * The results of tools come directly after the calls that they answer, before what the user says in the same turn. The
 * API has no images in results; they follow in a user's message. Turns that say nothing are left out.
 */
export function messagesOf(turns: readonly Turn[]): Message[] {
  return turns.flatMap(messagesOfTurn);
}

function messagesOfTurn({ role, parts }: Turn): Message[] {
  switch (role) {
    case "system":
      return said(parts) === "" ? [] : [{ role, content: said(parts) }];
    case "assistant":
      return assistantMessage(parts);
    case "user":
      return userMessages(parts);
  }
}

function assistantMessage(parts: readonly Part[]): Message[] {
  const calls = parts
    .filter((part) => part.kind === "call")
    .map(({ id, name, input }): ToolCall => {
      return { id, type: "function", function: { name, arguments: JSON.stringify(input) } };
    });
  const content = said(parts);
  if (calls.length > 0) {
    return [{ role: "assistant", content, tool_calls: calls }];
  }
  return content === "" ? [] : [{ role: "assistant", content }];
}

function userMessages(parts: readonly Part[]): Message[] {
  const results = parts.filter((part) => part.kind === "result");
  const messages: Message[] = results.map(({ id, parts: inner }) => {
    return { role: "tool", tool_call_id: id, content: said(inner) };
  });
  const images = [...results.flatMap((result) => result.parts), ...parts].filter((part) => part.kind === "image");
  const text = said(parts);
  if (images.length > 0) {
    const content = images.map(({ mimeType, base64 }): UserContent => {
      return { type: "image_url", image_url: { url: `data:${mimeType};base64,${base64}` } };
    });
    messages.push({ role: "user", content: text === "" ? content : [{ type: "text", text }, ...content] });
  } else if (text !== "") {
    messages.push({ role: "user", content: text });
  }
  return messages;
}

function said(parts: readonly Part[]): string {
  return parts
    .filter((part) => part.kind === "text")
    .map((part) => part.text)
    .join("");
}
