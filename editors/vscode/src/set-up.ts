import * as vscode from "vscode";
import { rootOf, withoutKey } from "./address.ts";
import { Cluster } from "./cluster.ts";
import { Fault } from "./faults.ts";
import type { Model } from "./models.ts";
import { type Access, readAccess, storeAccess, typedAddress } from "./settings.ts";

/** Built into VS Code and off until it is asked for once; it has the chat's window and its agent. */
const CHAT_EXTENSION = "GitHub.copilot-chat";
const TURN_CHAT_ON = "workbench.action.chat.manage";

/**
 * Ask for address and key until the cluster answers to them, then keep them and turn the chat on.
 *
 * Nothing is kept that did not work. Returns the cluster's models; undefined where the user gave up.
 */
export async function setUp(secrets: vscode.SecretStorage, log: vscode.LogOutputChannel): Promise<Model[] | undefined> {
  let root = await askForRoot(typedAddress(), "");
  let problem = "";
  while (root !== undefined) {
    const key = await askForKey(secrets, root, problem);
    if (key === undefined) {
      return undefined;
    }
    try {
      const models = await checked({ root, key });
      await storeAccess(secrets, { root, key });
      await turnChatOn(log);
      return models;
    } catch (error) {
      if (!(error instanceof Fault)) {
        throw error;
      }
      log.error(`set up: ${error.message}`);
      const isOfKey = error.status === 401 || error.status === 403;
      problem = isOfKey ? "The cluster does not accept this key." : "";
      root = isOfKey ? root : await askForRoot(root, error.message);
    }
  }
  return undefined;
}

/** Undefined where the user gave up. `problem` is what was wrong with the one before. */
async function askForRoot(value: string, problem: string): Promise<string | undefined> {
  const typed = await vscode.window.showInputBox({
    title: "Enginehouse: the cluster's address (1 of 2)",
    prompt: problem === "" ? "As your administrator gave it to you." : problem,
    placeHolder: "http://127.0.0.1:8000",
    value,
    ignoreFocusOut: true,
    validateInput: faultOfAddress,
  });
  return typed === undefined ? undefined : rootOf(typed);
}

async function askForKey(secrets: vscode.SecretStorage, root: string, problem: string): Promise<string | undefined> {
  const known = await readAccess(secrets).catch(() => undefined);
  const where = `Your key for ${withoutKey(root)}. Leave it empty where the cluster has no keys.`;
  const key = await vscode.window.showInputBox({
    title: "Enginehouse: your key (2 of 2)",
    prompt: `${problem === "" ? "" : `${problem} `}${where} It is kept in VS Code's secret storage.`,
    value: known?.root === root ? known.key : "",
    password: true,
    ignoreFocusOut: true,
  });
  return key?.trim();
}

function faultOfAddress(typed: string): string | undefined {
  try {
    rootOf(typed);
    return undefined;
  } catch (error) {
    return error instanceof Fault ? error.message : "This is no address.";
  }
}

async function checked({ root, key }: Access): Promise<Model[]> {
  const models = await new Cluster(root, key, "set-up").models();
  if (models.length === 0) {
    throw new Fault(`The cluster at ${withoutKey(root)} serves no models to this key. Ask who runs it.`);
  }
  return models;
}

/** Releases without the command, or with a chat that is on already, are left as they are. */
async function turnChatOn(log: vscode.LogOutputChannel): Promise<void> {
  if (vscode.extensions.getExtension(CHAT_EXTENSION) !== undefined) {
    return;
  }
  const commands = await vscode.commands.getCommands(true);
  if (!commands.includes(TURN_CHAT_ON)) {
    log.warn("This release has no command that turns the chat on. Open the chat, and choose a model of Enginehouse.");
    return;
  }
  await vscode.commands.executeCommand(TURN_CHAT_ON);
}
