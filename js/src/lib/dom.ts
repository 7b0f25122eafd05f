/** Making elements: text goes in as text, never as markup. */

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function button(label: string, press: (event: MouseEvent) => void): HTMLButtonElement {
  const made = element("button", "", label);
  made.type = "button";
  keepKeys(made);
  made.addEventListener("click", press);
  return made;
}

/** Keep the keys pressed in what has the focus: JupyterLab takes Enter, arrows and letters wherever this is missing. */
export function keepKeys(focused: HTMLElement): void {
  focused.dataset.lmSuppressShortcuts = "true";
}

/** Write only what changed, so that a screen reader and a selection are left alone. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
