// The one way to the server.

const TIMEOUT = 15_000; // milliseconds

// No answer, or one that is not the server's own: a proxy's page, a hotel's sign-in page.
export class Unreachable extends Error {}

const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";

// Returns call(method, url, body) -> {status, data}. Every request names the person for whom this page was
// opened, so that nothing is stored as somebody else's after a change of hands.
export function makeApi(annotator) {
  return async (method, url, body) => {
    const headers = { Accept: "application/json", "X-Margin-Annotator": annotator };
    // Read each time: signing in again, in another tab perhaps, changes it.
    if (body) Object.assign(headers, { "Content-Type": "application/json", "X-CSRFToken": token() });
    try {
      const options = { method, headers, redirect: "error", signal: AbortSignal.timeout(TIMEOUT) };
      const response = await fetch(url, { ...options, body: body && JSON.stringify(body) });
      if (!/^application\/(problem\+)?json/.test(response.headers.get("Content-Type") ?? "")) throw new Error("not ours");
      return { status: response.status, data: await response.json() };
    } catch (cause) {
      throw new Unreachable("no answer", { cause });
    }
  };
}

// crypto.randomUUID is missing on pages that came over plain HTTP.
export function newUid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
