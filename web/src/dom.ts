// Building and updating the page. Text enters only as text nodes and attributes: there is no way to pass markup.

import { plain } from "./format";

export type Child = Node | string | null | false;

type Props = Record<string, string | number | boolean | null | ((event: Event) => void)>;

/** An element. Functions named `on…` listen, `true` is an empty attribute, `false` and `null` are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, props: Props = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : plain(String(value)));
  }
  fill(element, ...children);
  return element;
}

export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(
    ...children.filter((child) => child !== null && child !== false)
      .map((child) => (typeof child === "string" ? plain(child) : child)),
  );
}

/** Sets text only where it changed, so that an unchanged page costs nothing. */
export function setText(element: Element, text: string): void {
  const safe = plain(text);
  if (element.textContent !== safe) element.textContent = safe;
}

export function setAttr(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, plain(value));
}

export function byId<T extends HTMLElement>(id: string, type: abstract new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

export interface Row<T> {
  node: HTMLElement;
  update(item: T): void;
}

/** A list whose rows keep their element (and so focus and scroll) for as long as their key is in it. */
export class KeyedList<T> {
  readonly #rows = new Map<string, Row<T>>();

  constructor(
    readonly parent: HTMLElement,
    readonly key: (item: T) => string,
    readonly create: (item: T) => Row<T>,
  ) {}

  render(items: readonly T[]): void {
    const wanted = new Set(items.map(this.key));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.node.remove();
      this.#rows.delete(key);
    }
    let next = this.parent.firstElementChild;
    for (const item of items) {
      const row = this.#row(item);
      row.update(item);
      if (row.node === next) next = next.nextElementSibling;
      else this.parent.insertBefore(row.node, next);
    }
  }

  #row(item: T): Row<T> {
    const key = this.key(item);
    let row = this.#rows.get(key);
    if (!row) this.#rows.set(key, (row = this.create(item)));
    return row;
  }
}

export interface Meter {
  node: HTMLElement;
  set(value: number, max: number, text: string): void;
}

/** A bar with its value for those who cannot see it. Widths are set through the CSSOM, which a strict CSP allows. */
export function meter(label: string, kind: string): Meter {
  const node = h("div", { class: `meter ${kind}`, role: "meter", "aria-label": label, "aria-valuemin": 0 });
  return {
    node,
    set(value, max, text) {
      node.style.setProperty("--part", String(max > 0 ? Math.min(1, Math.max(0, value / max)) : 0));
      setAttr(node, "aria-valuemax", String(max));
      setAttr(node, "aria-valuenow", String(value));
      setAttr(node, "aria-valuetext", text);
    },
  };
}

const announcer = byId("announcer", HTMLElement);

/** Says something once to those who listen rather than look. */
export const announce = (text: string): void => setText(announcer, text);

export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  h("a", { href: url, download: name }).click();
  // The download has been handed over by the next task; the bytes need not stay.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
