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

export function button(label: string, press: (event: Event) => void): HTMLButtonElement {
  const made = element("button", "", label);
  made.type = "button";
  // JupyterLab takes Enter for itself wherever this attribute is missing.
  made.dataset.lmSuppressShortcuts = "true";
  made.addEventListener("click", press);
  return made;
}

/** Write only what changed, so that a screen reader and a selection are left alone. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}
