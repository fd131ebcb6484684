import * as vscode from "vscode";
import { rootOf } from "./address.ts";

/** Where the cluster is, and the key for it. */
export interface Access {
  root: string;
  key: string;
}

export function section(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration("enginehouse");
}

export function typedAddress(): string {
  return section().get<string>("address", "");
}

/** Undefined before anybody set it up. Throws a `Fault` where the address of the settings is none. */
export async function readAccess(secrets: vscode.SecretStorage): Promise<Access | undefined> {
  const typed = typedAddress();
  if (typed.trim() === "") {
    return undefined;
  }
  const root = rootOf(typed);
  return { root, key: (await secrets.get(secretName(root))) ?? "" };
}

/** A key belongs to one address: whoever changes the setting does not get the key sent to theirs. */
export async function storeAccess(secrets: vscode.SecretStorage, { root, key }: Access): Promise<void> {
  await (key === "" ? secrets.delete(secretName(root)) : secrets.store(secretName(root), key));
  await section().update("address", root, vscode.ConfigurationTarget.Global);
}

export async function forgetKey(secrets: vscode.SecretStorage): Promise<void> {
  await secrets.delete(secretName(rootOf(typedAddress())));
}

/** Whether code of a language is completed, by the settings. */
export function completes(languageId: string): boolean {
  const settings = section();
  const languages = settings.get<Record<string, boolean>>("completion.languages", {});
  return settings.get<boolean>("completion.enabled", true) && (languages[languageId] ?? languages["*"] ?? true);
}

export async function toggleLanguage(languageId: string): Promise<void> {
  const settings = section();
  const languages = settings.get<Record<string, boolean>>("completion.languages", {});
  const isOn = languages[languageId] ?? languages["*"] ?? true;
  await settings.update(
    "completion.languages",
    { ...languages, [languageId]: !isOn },
    vscode.ConfigurationTarget.Global,
  );
}

function secretName(root: string): string {
  return `key of ${root}`;
}
