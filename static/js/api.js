// REST calls of the page, and the ids it makes.

/** `code` and `message` as the server sent them; code "network" when it was not reached. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function csrfToken() {
  return document.cookie.match(/(?:^|;\s*)csrftoken=([^;]+)/)?.[1] ?? "";
}

async function request(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "network", "");
  }
  const data = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, data?.code ?? "error", data?.message ?? "");
  return data;
}

export const startConversation = (coach, language, isPrivate) =>
  request("POST", "/conversations", { coach, language, private: isPrivate });
export const deleteConversation = (id) => request("DELETE", `/conversations/${id}`);
export const renameConversation = (id, title) => request("PATCH", `/conversations/${id}`, { title });
export const findConversations = (words, signal) =>
  request("GET", `/conversations?${new URLSearchParams({ q: words, limit: 50 })}`, undefined, signal);
export const olderConversations = (before, limit) =>
  request("GET", `/conversations?${new URLSearchParams({ before, limit })}`);
export const readSource = (conversation, n) => request("GET", `/conversations/${conversation}/sources/${n}`);
export const rateTurn = (turn, rating) => request("PUT", `/turns/${turn}/rating`, rating);
export const takeRatingBack = (turn) => request("DELETE", `/turns/${turn}/rating`);
export const improveAnswer = (turn, text) => request("PUT", `/turns/${turn}/edit`, { text });
export const removeImprovement = (turn) => request("DELETE", `/turns/${turn}/edit`);
export const saveConsent = (training, cloud) => request("PUT", "/me/consent", { training, cloud });
export const keepOut = (conversation, kept_out) => request("PUT", `/conversations/${conversation}/training`, { kept_out });

/** A random UUID; crypto.randomUUID exists only on https and localhost. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Signing a guest in changes the CSRF token: forms that were in the page get the new one as they are sent. */
export function freshenForms() {
  document.addEventListener("submit", (event) => {
    const field = event.target.querySelector?.("input[name=csrfmiddlewaretoken]");
    if (field && csrfToken()) field.value = csrfToken();
  });
}
