import * as vscode from "vscode";
import { Cluster } from "./cluster.ts";
import { Fault } from "./faults.ts";
import { completionModel, type Model } from "./models.ts";
import { readAccess, section } from "./settings.ts";

export type State =
  | { kind: "not set up" }
  | { kind: "failed"; fault: Fault }
  | { kind: "ready"; cluster: Cluster; models: Model[] };

/** How often the list of models is read again while the window is in use. */
const POLL_MS = 60_000;

/** The cluster of the settings and its models, which are read again when something changes. */
export class Connection implements vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #disposables: vscode.Disposable[] = [this.#changed];
  readonly #secrets: vscode.SecretStorage;
  readonly #log: vscode.LogOutputChannel;
  readonly #sessionId: string;
  #state: State = { kind: "not set up" };
  #reading: Promise<State> | undefined;

  /** Fires when models or the reason why there are none have changed. */
  readonly onDidChange = this.#changed.event;

  constructor(secrets: vscode.SecretStorage, log: vscode.LogOutputChannel, sessionId: string) {
    this.#secrets = secrets;
    this.#log = log;
    this.#sessionId = sessionId;
    const timer = setInterval(() => vscode.window.state.focused && void this.refresh(), POLL_MS);
    this.#disposables.push(
      { dispose: () => clearInterval(timer) },
      secrets.onDidChange(() => void this.refresh()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("enginehouse.address")) {
          void this.refresh();
        }
      }),
    );
  }

  get state(): State {
    return this.#state;
  }

  /** The model that completes code, and where; undefined without one. */
  get completion(): { cluster: Cluster; model: Model } | undefined {
    if (this.#state.kind !== "ready") {
      return undefined;
    }
    const model = completionModel(this.#state.models, section().get<string>("completion.model", ""));
    return model === undefined ? undefined : { cluster: this.#state.cluster, model };
  }

  /** The state after the list of models was read; reads it unless that is done already, or under way. */
  async known(): Promise<State> {
    if (this.#state.kind === "ready") {
      return this.#state;
    }
    return this.#reading === undefined ? this.refresh() : this.#taken(this.#reading);
  }

  /** Read the list of models again, with the address and key of now: what is being read may be of those before. */
  refresh(): Promise<State> {
    this.#reading = this.#readState();
    return this.#taken(this.#reading);
  }

  dispose(): void {
    vscode.Disposable.from(...this.#disposables).dispose();
  }

  /** The state that `reading` gives, or what is read since another reading has overtaken it. */
  async #taken(reading: Promise<State>): Promise<State> {
    try {
      const state = await reading;
      if (this.#reading === reading) {
        this.#take(state);
      }
    } finally {
      if (this.#reading === reading) {
        this.#reading = undefined;
      }
    }
    return this.#reading === undefined ? this.#state : this.#taken(this.#reading);
  }

  #take(state: State): void {
    const before = this.#state;
    this.#state = state;
    if (identityOf(before) !== identityOf(state)) {
      this.#log.info(state.kind === "failed" ? state.fault.message : identityOf(state));
      this.#changed.fire();
    }
  }

  async #readState(): Promise<State> {
    try {
      const access = await readAccess(this.#secrets);
      if (access === undefined) {
        return { kind: "not set up" };
      }
      const cluster = new Cluster(access.root, access.key, this.#sessionId);
      return { kind: "ready", cluster, models: await cluster.models() };
    } catch (error) {
      if (error instanceof Fault) {
        return { kind: "failed", fault: error };
      }
      throw error;
    }
  }
}

/** Of two states that are the same for everybody who looks, the same: VS Code asks again whenever it has changed. */
function identityOf(state: State): string {
  switch (state.kind) {
    case "not set up":
      return "No cluster is set up.";
    case "failed":
      return state.fault.identity;
    case "ready":
      return `Models of ${state.cluster.shownAddress}: ${JSON.stringify(state.models)}`;
  }
}
