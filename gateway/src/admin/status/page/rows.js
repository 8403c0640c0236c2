// Rows of tables that stay in place while their contents change, so that focus, selection and screen readers keep
// theirs. All text goes in as text: nothing that a cluster tells becomes markup.

/** Makes the children of `parent` those of `items`, kept by key and in order. `fill` writes one. */
export function keep(parent, items, tag, key, fill) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, at) => {
    const name = String(key(item));
    let child = known.get(name);
    known.delete(name);
    if (!child) {
      child = document.createElement(tag);
      child.dataset.key = name;
    }
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
    fill(child, item);
  });
  for (const gone of known.values()) gone.remove();
}

/** Sets the text, if it is another one. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets or removes an attribute, if it is another one. */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Writes the cells of a row: the first is its head. A cell is a text, or {text, class, title, label}. */
export function cells(row, contents) {
  contents.forEach((content, at) => {
    const { text, kind = "", title = null, label = null } = typeof content === "string" ? { text: content } : content;
    let cell = row.children[at];
    if (!cell) {
      cell = document.createElement(at === 0 ? "th" : "td");
      if (at === 0) cell.scope = "row";
      row.append(cell);
    }
    say(cell, text);
    if (cell.className !== kind) cell.className = kind;
    mark(cell, "title", title);
    mark(cell, "aria-label", label);
  });
  while (row.children.length > contents.length) row.lastChild.remove();
}

/** A number in a cell that is aligned to the right. */
export const number = (text, alarm = false) => ({ text, kind: alarm ? "n alarm" : "n" });

/** `1.5 GiB`, or a dash. */
export function bytes(size) {
  if (size === null || size === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; size >= 1024 && unit + 1 < units.length; unit += 1) size /= 1024;
  return unit === 0 ? `${size} B` : `${size.toFixed(1)} ${units[unit]}`;
}

/** `9 min 18 s`, or a dash. */
export function seconds(count) {
  if (count === null || count === undefined) return "–";
  const [hours, minutes] = [Math.floor(count / 3600), Math.floor((count % 3600) / 60)];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${count % 60} s` : `${count} s`;
}

/** `+1.2 ms` of so many microseconds, or a dash. */
export function milliseconds(us) {
  if (us === null || us === undefined) return "–";
  const rounded = Math.round(us / 100) / 10;
  return `${rounded > 0 ? "+" : ""}${(rounded || 0).toFixed(1)} ms`;
}

/** The time of day where the viewer is. */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
