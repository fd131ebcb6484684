import * as vscode from "vscode";
import type { Part, Turn } from "./conversation.ts";

/** VS Code's messages without its classes. Parts that are neither text, images, calls nor results are left out. */
export function turnsOf(messages: readonly vscode.LanguageModelChatRequestMessage[]): Turn[] {
  return messages.map(({ role, content }) => ({ role: roleOf(role), parts: partsOf(content) }));
}

/** What of a message counts as its length. */
export function textOf(message: vscode.LanguageModelChatRequestMessage): string {
  return partsOf(message.content).map(lengthyText).join("");
}

function roleOf(role: vscode.LanguageModelChatMessageRole): Turn["role"] {
  switch (role) {
    case vscode.LanguageModelChatMessageRole.Assistant:
      return "assistant";
    case vscode.LanguageModelChatMessageRole.User:
      return "user";
    default: // the stable API has no name for it, and VS Code's own chat uses it
      return "system";
  }
}

function partsOf(content: readonly unknown[]): Part[] {
  return content.flatMap((part): Part[] => {
    if (part instanceof vscode.LanguageModelTextPart) {
      return [{ kind: "text", text: part.value }];
    }
    if (part instanceof vscode.LanguageModelToolCallPart) {
      return [{ kind: "call", id: part.callId, name: part.name, input: part.input }];
    }
    if (part instanceof vscode.LanguageModelToolResultPart) {
      return [{ kind: "result", id: part.callId, parts: partsOf(part.content) }];
    }
    return partOfData(part);
  });
}

/** Later releases have a class for data; the first with providers has not. */
function partOfData(part: unknown): Part[] {
  const { mimeType, data, value } = (part ?? {}) as { mimeType?: unknown; data?: unknown; value?: unknown };
  if (typeof mimeType === "string" && data instanceof Uint8Array) {
    if (mimeType.startsWith("image/")) {
      return [{ kind: "image", mimeType, base64: Buffer.from(data).toString("base64") }];
    }
    return /^text\/|json$/.test(mimeType) ? [{ kind: "text", text: Buffer.from(data).toString("utf8") }] : [];
  }
  return part instanceof vscode.LanguageModelPromptTsxPart ? [{ kind: "text", text: JSON.stringify(value) }] : [];
}

function lengthyText(part: Part): string {
  switch (part.kind) {
    case "text":
      return part.text;
    case "image":
      return "";
    case "call":
      return part.name + JSON.stringify(part.input);
    case "result":
      return part.parts.map(lengthyText).join("");
  }
}
