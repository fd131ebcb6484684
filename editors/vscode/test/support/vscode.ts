import { registerHooks } from "node:module";

type Listener = (event: unknown) => void;

/** As much of VS Code as a connection needs, in place of the module that only VS Code has. */
export class EventEmitter {
  readonly #listeners = new Set<Listener>();
  readonly event = (listener: Listener) => {
    this.#listeners.add(listener);
    return { dispose: () => this.#listeners.delete(listener) };
  };
  fire(event?: unknown): void {
    for (const listener of this.#listeners) {
      listener(event);
    }
  }
  dispose(): void {
    this.#listeners.clear();
  }
}

export const Disposable = {
  from: (...each: { dispose(): unknown }[]) => ({
    dispose: () => {
      for (const one of each) {
        one.dispose();
      }
    },
  }),
};

export const InlineCompletionTriggerKind = { Invoke: 0, Automatic: 1 };

export class Range {
  readonly start: unknown;
  readonly end: unknown;
  constructor(start: unknown, end: unknown) {
    this.start = start;
    this.end = end;
  }
}

export class InlineCompletionItem {
  readonly insertText: string;
  constructor(insertText: string) {
    this.insertText = insertText;
  }
}

export const settings = new Map<string, unknown>();
const configuration = new EventEmitter();

export const workspace = {
  getConfiguration: (section: string) => ({
    get: (name: string, otherwise: unknown) => settings.get(`${section}.${name}`) ?? otherwise,
  }),
  onDidChangeConfiguration: configuration.event,
};

export const window = { state: { focused: false } };

export function change(name: string, value: unknown): void {
  settings.set(name, value);
  configuration.fire({ affectsConfiguration: (one: string) => one === name });
}

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "vscode" ? { url: import.meta.url, shortCircuit: true } : next(specifier, context),
});
