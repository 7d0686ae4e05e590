// What the page asks of its own server. The key lives in this module's memory and ends with the page.

let key = "";

/** Use a key from now on; an empty one means none. */
export function useKey(value) {
  key = value.trim();
}

/** A request that the server refused: its sentence, status and code. */
export class Refused extends Error {
  constructor(message, { status = 0, code = "", retryAfter = "" } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

/** Send `body` as JSON (or nothing) and return the response; raises `Refused`. */
export async function send(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const content = body === undefined ? undefined : JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, body: content,
      cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", redirect: "error",
    });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new Refused("The server cannot be reached.");
  }
  if (response.ok) return response;
  throw await refusal(response);
}

/** The JSON of an answer. */
export async function ask(path, options) {
  return (await send(path, options)).json();
}

async function refusal(response) {
  const about = { status: response.status, retryAfter: response.headers.get("Retry-After") ?? "" };
  let message = `The server answered ${response.status}.`;
  try {
    const { error } = await response.json();
    if (error?.message) message = error.message;
    about.code = error?.code ?? "";
  } catch {
    // An answer that is not ours, such as a proxy's, has no sentence to show.
  }
  if (response.status === 401) message = `${message} Enter an API key above.`;
  if (about.retryAfter) message = `${message} Try again in ${about.retryAfter} s.`;
  return new Refused(message, about);
}
