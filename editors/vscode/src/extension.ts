import { randomUUID } from "node:crypto";
import * as vscode from "vscode";
import { ChatProvider } from "./chat-provider.ts";
import { CompletionProvider } from "./completion-provider.ts";
import { Connection } from "./connection.ts";
import { setUp } from "./set-up.ts";
import { completes, forgetKey, toggleLanguage } from "./settings.ts";
import { StatusBar } from "./status-bar.ts";

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("Enginehouse", { log: true });
  const connection = new Connection(context.secrets, log, randomUUID());
  const statusBar = new StatusBar(connection);
  const completion = new CompletionProvider(connection, log, (activity) => statusBar.show(activity));
  context.subscriptions.push(
    log,
    connection,
    statusBar,
    vscode.lm.registerLanguageModelChatProvider("enginehouse", new ChatProvider(connection, log)),
    vscode.languages.registerInlineCompletionItemProvider({ pattern: "**" }, completion),
    ...commandsOf(context, connection, log),
  );
  void connection.refresh();
}

function commandsOf(
  { secrets }: vscode.ExtensionContext,
  connection: Connection,
  log: vscode.LogOutputChannel,
): vscode.Disposable[] {
  const commands: Record<string, () => unknown> = {
    setUp: async () => {
      const models = await setUp(secrets, log);
      if (models !== undefined) {
        await connection.refresh();
        void vscode.window.showInformationMessage(
          `Enginehouse is set up: ${models.length} models. ${hint(connection)}`,
        );
      }
    },
    refresh: async () => {
      const state = await connection.refresh();
      if (state.kind === "failed") {
        void vscode.window.showErrorMessage(state.fault.message);
      }
    },
    toggleLanguage: async () => {
      const language = vscode.window.activeTextEditor?.document.languageId;
      if (language === undefined) {
        void vscode.window.showInformationMessage("Open a file of the language first.");
        return;
      }
      await toggleLanguage(language);
    },
    showLog: () => log.show(),
    forget: async () => {
      await forgetKey(secrets);
      await connection.refresh();
    },
    menu: async () => {
      const choice = await vscode.window.showQuickPick(menuOf(connection), { title: "Enginehouse" });
      if (choice !== undefined) {
        await vscode.commands.executeCommand(choice.command);
      }
    },
  };
  return Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(`enginehouse.${name}`, run));
}

function hint({ completion }: Connection): string {
  const completes =
    completion === undefined ? "None of them completes code." : `${completion.model.id} completes code.`;
  return `Choose one in the chat's list of models. ${completes}`;
}

function menuOf({ state, completion }: Connection): (vscode.QuickPickItem & { command: string })[] {
  const items = [
    { label: "$(plug) Set Up", command: "enginehouse.setUp" },
    { label: "$(refresh) Read the List of Models Again", command: "enginehouse.refresh" },
    { label: "$(output) Show the Log", command: "enginehouse.showLog" },
  ];
  const language = vscode.window.activeTextEditor?.document.languageId;
  if (state.kind === "ready" && completion !== undefined && language !== undefined) {
    const label = `$(sparkle) Turn Completion ${completes(language) ? "Off" : "On"} for ${language}`;
    items.unshift({ label, command: "enginehouse.toggleLanguage" });
  }
  return items;
}
