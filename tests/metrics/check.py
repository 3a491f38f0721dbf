#!/usr/bin/env python3
"""What watches the metrics is right: rules and their tests by promtool, each alert with its page and both kinds of test, each expression of
the dashboard parsed by promtool, and no metric in any of them that docs/metrics.md does not have. Exit code 1 and the reasons, or 0."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "helm/umbra/files/alerts.yaml"
TESTS = ROOT / "tests/metrics/alerts_test.yaml"
DASHBOARD = ROOT / "helm/umbra/files/dashboard.json"
PAGES = ROOT / "docs/runbooks"
SITUATIONS = ("hub-lost", "disk-lost", "disk-full", "cold-start", "stuck-terminating", "roll-back", "scale-down")
FUNCTIONS_OF_TIME = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}

problems = []


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        problems.append(f"promtool {' '.join(map(str, arguments[:2]))}: {(done.stdout + done.stderr).strip()}")


def known_metrics():
    names = set()
    for name, kind in re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M):
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def names_in(expression):
    return set(re.findall(r"\b(?:umbra|process)_[a-z_]+", expression))


def main():
    known = known_metrics()
    if len(known) < 100:
        problems.append("docs/metrics.md: its table cannot be read")
    promtool("check", "rules", RULES)
    promtool("test", "rules", TESTS)

    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    tests = {test["name"] for test in yaml.safe_load(TESTS.read_text())["tests"]}
    for rule in rules:
        name = rule["alert"]
        problems.extend(f"{name}: no such metric: {metric}" for metric in sorted(names_in(rule["expr"]) - known))
        problems.extend(f"{name}: no {word}" for word in ("summary", "description", "runbook_url") if not rule["annotations"].get(word))
        if rule["annotations"]["runbook_url"] != f"docs/runbooks/{name}.md":
            problems.append(f"{name}: runbook_url is not its page")
        problems.extend(f"{name}: no test {name} {kind}" for kind in ("bad", "good") if f"{name} {kind}" not in tests)
    pages = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    expected = {rule["alert"] for rule in rules} | set(SITUATIONS)
    problems.extend(f"docs/runbooks/{page}.md: there is none" for page in sorted(expected - pages))
    problems.extend(f"docs/runbooks/{page}.md: of no alert" for page in sorted(pages - expected))
    index = (PAGES / "README.md").read_text()
    for page in sorted(pages):
        text = (PAGES / f"{page}.md").read_text()
        problems.extend(f"{page}.md: no part '{part}'" for part in ("**What it means.**", "**Look at**", "**Do**", "**It is over when**") if part not in text)
        problems.extend(f"{page}.md: no such metric: {metric}" for metric in sorted({n for n in names_in(text) if n not in known}))
        problems.extend(f"{page}.md: no such page: {link}" for link in re.findall(r"\]\(([^)#]+)", text) if not (PAGES / link).exists())
        if f"({page}.md)" not in index:
            problems.append(f"README.md: does not name {page}")

    if subprocess.run([ROOT / "scripts/dashboard", "--check"]).returncode != 0:
        problems.append("helm/umbra/files/dashboard.json is not what scripts/dashboard writes")
    panels = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
    if len({panel["id"] for panel in panels}) != len(panels) or len(panels) < 20:
        problems.append("dashboard.json: ids are not unique, or panels are missing")
    records = []
    for panel in panels:
        for target in panel["targets"]:
            expression = target["expr"]
            problems.extend(f"dashboard, {panel['title']}: no such metric: {metric}" for metric in sorted(names_in(expression) - known))
            for word, value in FUNCTIONS_OF_TIME.items():
                expression = expression.replace(word, value)
            records.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": expression})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}, file)
        file.flush()
        promtool("check", "rules", file.name)

    print("\n".join(problems) if problems else f"{len(rules)} alerts, {len(pages)} pages, {len(panels)} panels, {len(known)} metrics: all right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
