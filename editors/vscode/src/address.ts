import { Fault } from "./faults.ts";

/**
 * Where the cluster's routes begin, without a slash at the end: `http://host:8000` of `host:8000/v1/`.
 *
 * A key may stand in the path (`http://host:8000/k/KEY`). Throws a `Fault` that says what is wrong with what was typed.
 */
export function rootOf(typed: string): string {
  const text = typed.trim();
  if (text === "") {
    throw new Fault("Type the cluster's address, for example http://127.0.0.1:8000.");
  }
  const url = parsed(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new Fault("The address has to begin with http:// or https://, for example http://127.0.0.1:8000.");
  }
  if (url.username !== "" || url.password !== "") {
    throw new Fault("Leave user name and password out of the address: the key is asked for separately.");
  }
  return url.origin + url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
}

/** The same address for logs and messages, without a key that stands in its path. */
export function withoutKey(address: string): string {
  return address.replace(/\/k\/[^/]+/, "/k/…");
}

function parsed(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
