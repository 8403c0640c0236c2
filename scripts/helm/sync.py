"""Copies alerts and dashboards into the chart, which can only read its own files, and writes the table of values into its
README. With --check it changes nothing, and fails where something would change."""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "rowhouse"
BEGIN, END = "<!-- values -->", "<!-- end of values -->"
KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):(.*)$")


def copies():
    """Each file in the chart that is a copy, and its text."""
    for folder, kind in (("alerts", "*.yml"), ("dashboards", "*.json")):
        for path in sorted((ROOT / "observability" / folder).glob(kind)):
            yield CHART / "files" / folder / path.name, path.read_text()


def rows(text):
    """Path, comment and section heading of each key of a values file. A comment belongs to the key below it."""
    path, comment, section = [], [], None
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# ----"):
            section, comment = stripped.strip("# -"), []
        elif stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
        elif not stripped:
            comment = []
        elif (match := KEY.match(line)) and not stripped.startswith("- "):
            depth = len(match[1]) // 2
            path = path[:depth] + [match[2]]
            yield tuple(path), " ".join(comment), section
            comment, section = [], None


def shown(value):
    if value == "":
        return '`""`'
    if isinstance(value, (dict, list)):
        text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    else:
        text = yaml.safe_dump(value, default_flow_style=True).split("\n")[0]
    return f"`{text}`"


def at(values, path):
    for key in path:
        values = values[key]
    return values


def table():
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    lines = []
    head = ["| value | default | meaning |", "|---|---|---|"]
    lines += ["### Names and labels", "", *head]
    listed = list(rows(text))
    explained = {path for path, comment, _ in listed if comment}
    parents = {path[:-1] for path in explained}
    for path, comment, section in listed:
        if section:
            lines += ["", f"### {section}", "", *head]
        if not comment:
            continue
        comment = comment.replace("|", chr(92) + "|")
        default = "" if path in parents else shown(at(values, path))
        lines.append(f"| `{'.'.join(path)}` | {default} | {comment} |")
    return "\n".join(lines)


def readme():
    text = (CHART / "README.md").read_text()
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def main():
    check = "--check" in sys.argv
    wanted = {**dict(copies()), CHART / "README.md": readme()}
    files = {path for folder in ("alerts", "dashboards") for path in (CHART / "files" / folder).glob("*")}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    extra = [path for path in files if path not in wanted]
    if check:
        for path in stale + extra:
            print(f"helm-test: {path.relative_to(ROOT)} is not up to date: make helm-sync", file=sys.stderr)
        sys.exit(1 if stale or extra else 0)
    for path in extra:
        path.unlink()
    for path in stale:
        path.write_text(wanted[path])
        print(f"wrote {path.relative_to(ROOT)}")


main()
