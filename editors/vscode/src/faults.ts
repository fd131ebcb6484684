/** What went wrong, in a sentence for the person at the keyboard that says what to do. It has no keys and no code. */
export class Fault extends Error {
  override readonly name = "EnginehouseFault";
  /** The answer's HTTP status; undefined where there was no answer. */
  readonly status: number | undefined;
  /** The cluster's own code, as `model_not_found`. */
  readonly code: string | undefined;
  /** How long the cluster wants to be left alone; undefined where it does not say. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, status?: number, code?: string, retryAfterMs?: number) {
    super(message);
    this.stack = ""; // VS Code's chat would show it behind the message
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may be taken later: a quota is used up, or everything is busy. */
  get isRefusal(): boolean {
    return this.status === 429 || this.status === 503;
  }

  /** The same for two of one kind, where messages differ by how long to wait. */
  get identity(): string {
    return this.status === undefined ? this.message : `${this.status} ${this.code ?? ""}`;
  }
}

const SET_UP = "Run the command “Enginehouse: Set Up”";

const CERTIFICATE_CODES = new Set([
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** Of an answer that is not a success. `address` is where it was asked, without a key. */
export function faultOfAnswer(status: number, body: string, address: string, retryAfter: string | null): Fault {
  const { message, code } = errorOf(body);
  const said = message === "" ? "" : ` It says: ${message}`;
  const retryAfterMs = millisecondsOf(retryAfter);
  const wait = retryAfterMs === undefined ? "in a moment" : `in ${Math.ceil(retryAfterMs / 1000)} s`;
  return new Fault(sentence(), status, code, retryAfterMs);

  function sentence(): string {
    switch (status) {
      case 401:
      case 403:
        return `The cluster at ${address} does not accept the key. ${SET_UP} and type another.`;
      case 404:
        return code === "model_not_found"
          ? `${message} Choose another model, or run “Enginehouse: Read the List of Models Again”.`
          : `Nothing at ${address} answers as an Enginehouse cluster (status 404). ${SET_UP} and check the address.`;
      case 429:
        return `This key's share of the cluster is used up; try again ${wait}.${said}`;
      case 503:
        return `The cluster cannot take the request now; try again ${wait}.${said}`;
      default:
        return status >= 500
          ? `The cluster failed (status ${status}); its operators find why in its logs.${said}`
          : `The cluster refused the request (status ${status}).${said}`;
    }
  }
}

/** Of a request that got no answer, or of an answer that broke off. */
export function faultOfConnection(error: unknown, address: string): Fault {
  const code = codeOf(error);
  if (CERTIFICATE_CODES.has(code)) {
    return new Fault(
      `The certificate of ${address} is not trusted (${code}). Install your organisation's root certificate on this ` +
        "computer, and leave VS Code's setting http.systemCertificates on.",
    );
  }
  switch (code) {
    case "ECONNREFUSED":
      return new Fault(`Nothing listens at ${address}. Check the address, and that the cluster runs.`);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Fault(`The host of ${address} is not known here. Check its name, and VPN or proxy (http.proxy).`);
    case "EPROTO":
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return new Fault(`${address} does not speak TLS. Begin the address with http:// instead of https://.`);
    case "TimeoutError":
    case "ETIMEDOUT":
    case "UND_ERR_CONNECT_TIMEOUT":
    case "UND_ERR_HEADERS_TIMEOUT":
      return new Fault(`${address} did not answer in time. Check the address, and firewall or proxy (http.proxy).`);
    default:
      return new Fault(`The connection to ${address} failed (${code === "" ? "no reason given" : code}). Try again.`);
  }
}

/** Whether a request was given up by its own `AbortSignal`. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** Of the header `retry-after`, which is seconds or, from some proxies, a date. */
function millisecondsOf(retryAfter: string | null): number | undefined {
  if (retryAfter === null) {
    return undefined;
  }
  const ms = /^\s*\d+\s*$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** `fetch` wraps what happened, once or twice. */
function codeOf(error: unknown): string {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (one.name === "TimeoutError") {
      return one.name;
    }
    const code = (one as NodeJS.ErrnoException).code;
    if (typeof code === "string") {
      return code;
    }
  }
  return "";
}

function errorOf(body: string): { message: string; code: string | undefined } {
  try {
    const error: unknown = (JSON.parse(body) as { error?: unknown }).error;
    const { message, code } = (error ?? {}) as { message?: unknown; code?: unknown };
    return {
      message: typeof message === "string" ? message : "",
      code: typeof code === "string" ? code : undefined,
    };
  } catch {
    return { message: "", code: undefined };
  }
}
