import * as vscode from "vscode";
import type { Activity } from "./completion-provider.ts";
import type { Connection } from "./connection.ts";
import { completes } from "./settings.ts";

interface Look {
  icon: string;
  tooltip: string;
  isWarning?: boolean;
}

/** Says at a glance whether the cluster is there and code is completed. A click opens the menu. */
export class StatusBar implements vscode.Disposable {
  readonly #item = vscode.window.createStatusBarItem("enginehouse", vscode.StatusBarAlignment.Right, 100);
  readonly #connection: Connection;
  readonly #disposables: vscode.Disposable[];
  #activity: Activity = { kind: "idle" };
  #pausing: NodeJS.Timeout | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#item.name = "Enginehouse";
    this.#item.command = "enginehouse.menu";
    this.#disposables = [
      this.#item,
      connection.onDidChange(() => this.show({ kind: "idle" })),
      vscode.window.onDidChangeActiveTextEditor(() => this.#draw()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("enginehouse")) {
          this.#draw();
        }
      }),
    ];
    this.#draw();
    this.#item.show();
  }

  show(activity: Activity): void {
    clearTimeout(this.#pausing);
    this.#activity = activity;
    if (activity.kind === "paused") {
      this.#pausing = setTimeout(() => this.show({ kind: "idle" }), activity.forMs);
    }
    this.#draw();
  }

  dispose(): void {
    clearTimeout(this.#pausing);
    vscode.Disposable.from(...this.#disposables).dispose();
  }

  #draw(): void {
    const { icon, tooltip, isWarning } = this.#look();
    this.#item.text = `$(${icon}) Enginehouse`;
    this.#item.tooltip = tooltip;
    this.#item.backgroundColor =
      isWarning === true ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
  }

  #look(): Look {
    const state = this.#connection.state;
    if (state.kind === "not set up") {
      return { icon: "plug", tooltip: "No cluster is set up. Click to set one up." };
    }
    if (state.kind === "failed") {
      return { icon: "warning", tooltip: state.fault.message, isWarning: true };
    }
    const completion = this.#connection.completion;
    if (completion === undefined) {
      return { icon: "comment", tooltip: "Chat only: no model of the cluster completes code." };
    }
    if (this.#activity.kind === "failed") {
      return { icon: "warning", tooltip: this.#activity.fault.message, isWarning: true };
    }
    if (this.#activity.kind === "paused") {
      const seconds = Math.ceil(this.#activity.forMs / 1000);
      return { icon: "debug-pause", tooltip: `${this.#activity.fault.message} Completion pauses for ${seconds} s.` };
    }
    const language = vscode.window.activeTextEditor?.document.languageId;
    if (language !== undefined && !completes(language)) {
      return { icon: "circle-slash", tooltip: `Completion is off for ${language}. Click to turn it on.` };
    }
    const isAsking = this.#activity.kind === "asking";
    return { icon: isAsking ? "loading~spin" : "sparkle", tooltip: `${completion.model.id} completes code.` };
  }
}
