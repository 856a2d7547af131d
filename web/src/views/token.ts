// Asks for a token, and asks the coordinator whether it is one before believing it.

import { explain } from "../api";
import { byId, setText } from "../dom";

/** `tryToken` throws when the token is refused. The dialog cannot be left without one that works. */
export function mountToken(tryToken: (token: string) => Promise<void>, hasToken: () => boolean): () => void {
  const dialog = byId("ask", HTMLDialogElement);
  const input = byId("ask-token", HTMLInputElement);
  const problem = byId("ask-fault", HTMLElement);
  const button = byId("ask-open", HTMLButtonElement);
  dialog.addEventListener("cancel", (event) => {
    if (!hasToken()) event.preventDefault();
  });
  byId("ask-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });
  async function submit(): Promise<void> {
    button.disabled = true;
    setText(problem, "");
    try {
      await tryToken(input.value.trim());
      input.value = "";
      dialog.close();
    } catch (error) {
      setText(problem, explain(error));
      input.select();
    } finally {
      button.disabled = false;
    }
  }
  return () => {
    if (!dialog.open) dialog.showModal();
    input.focus();
  };
}
