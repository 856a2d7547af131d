// Light, dark, or as the system says. The colours themselves are in `styles/tokens.css`.

import { byId, setAttr, setText } from "./dom";
import { Cell } from "./store";

const KEY = "quorate.theme";
const CHOICES = ["system", "light", "dark"] as const;
type Choice = (typeof CHOICES)[number];

const stored = (): Choice => CHOICES.find((choice) => choice === localStorage.getItem(KEY)) ?? "system";

/** Changes whenever the colours may have: canvases must then be drawn again. */
export const themeChanged = new Cell(0);

export function mountTheme(): void {
  const button = byId("theme", HTMLButtonElement);
  const label = byId("theme-label", HTMLElement);
  let choice = stored();
  function show(): void {
    setAttr(document.documentElement, "data-theme", choice === "system" ? null : choice);
    setText(label, `Theme: ${choice}`);
    setAttr(button, "data-choice", choice);
    themeChanged.set(themeChanged.get() + 1);
  }
  button.addEventListener("click", () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length] ?? "system";
    localStorage.setItem(KEY, choice);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
