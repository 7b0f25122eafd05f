/** A style sheet that is on the page once, in the newest version. */

export function installStyle(id: string, css: string): void {
  const style = document.getElementById(id) ?? document.head.appendChild(document.createElement("style"));
  style.id = id;
  if (style.textContent !== css) style.textContent = css;
}
