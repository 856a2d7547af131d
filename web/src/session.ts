// The token: taken from the address once (`#token=…`), kept for this tab only, never written into a link or a log.

const KEY = "quorate.token";

export function storedToken(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

export function storeToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

/** Takes a token out of the address, so that neither history nor a copied link carries it. */
export function takeTokenFromAddress(): string {
  const fragment = new URLSearchParams(location.hash.replace(/^#/, ""));
  const token = fragment.get("token") ?? "";
  if (token) {
    storeToken(token);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return token;
}
