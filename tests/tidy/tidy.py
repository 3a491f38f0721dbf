#!/usr/bin/env python3
"""House rules that no compiler knows (CONTRIBUTING.md). Prints FILE:LINE: RULE for each break; exit code 1 if there is one.

tests/tidy/tidy.py --self-test checks that every rule can fail.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Which folders a folder may include, beside itself. Siblings never include each other; nothing points back up.
MAY_INCLUDE = {
    "base": set(),
    "smtp": {"base"},
    "storage": {"base"},
    "cluster": {"base"},
    "hub": {"base", "smtp", "storage", "cluster"},
    "load": {"base"},
    "tests": {"base", "smtp", "storage", "cluster", "hub", "load"},
}

# Pattern, where it is allowed (path prefixes), and why it is not allowed elsewhere.
BANNED = [
    (r"\b(steady|system|high_resolution)_clock::now\b", ("base/clock.cpp", "tests/simulation/main.cpp"), "time is read by MonotonicClock and WallClock alone"),
    (r"\bsqlite3_open", ("storage/", "tests/faults/", "tests/unit/storage/"), "the database is opened in storage/ alone"),
    (r"\basio::detached\b", (), "a coroutine is spawned in a TaskScope, which waits for it"),
    (r"\b(FIXME|TODO|XXX)\b", ("tests/tidy/",), "a known gap is described where it is, in words"),
    (r"#include <boost/", ("hub/", "tests/", "load/"), "base/, smtp/, storage/ and cluster/ know nothing of Asio"),
    (r"#include <sqlite3", ("storage/", "tests/faults/", "tests/unit/storage/"), "SQLite is known to storage/ alone"),
    (r"\bstd::(rand|srand|random_device)\b", (), "randomness is passed in (base/random.h)"),
    (r"\b(sleep_for|sleep_until|usleep|nanosleep)\b", ("tests/", "load/"), "the hub waits by Timer, on the clock that is passed in"),
]

LINES_MAX = 600
TEXT_SUFFIXES = {".h", ".cpp", ".py", ".md", ".cmake", ".txt", ".yaml", ".yml", ".json", ".sh"}


def check_source(path, lines, problem):
    """Rules for C++ files. `problem(line, what)` takes what is found."""
    folder = path.split("/")[0]
    for number, line in enumerate(lines, 1):
        included = re.match(r'\s*#include "([^"]+)"', line)
        if included and folder in MAY_INCLUDE:
            target = included.group(1).split("/")[0]
            if "/" not in included.group(1):
                problem(number, f'includes are written from the root: "{folder}/..."')
            elif target != folder and target in MAY_INCLUDE and target not in MAY_INCLUDE[folder]:
                problem(number, f"{folder}/ must not include {target}/")
        if line.rstrip("\n") != line.rstrip():
            problem(number, "blanks at the end of the line")
        if "\t" in line:
            problem(number, "a tab")
    if path.endswith(".h"):
        if not lines or not lines[0].startswith(("//", "/*")):
            problem(1, "a header begins with a comment: what it is, who calls it")
        if not any(line.strip() == "#pragma once" for line in lines):
            problem(1, "a header has #pragma once")
    if len(lines) > LINES_MAX and "long because" not in "".join(lines[:20]):
        problem(1, f'{len(lines)} lines; more than {LINES_MAX} need a sentence at the top that has "long because"')


def check_banned(path, lines, problem):
    for number, line in enumerate(lines, 1):
        for pattern, allowed, why in BANNED:
            if re.search(pattern, line) and not path.startswith(allowed):
                problem(number, why)


def anchors_of(text):
    """The anchors that GitHub makes of headings."""
    found = set()
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        heading = re.match(r"#+ +(.*)", line)
        if heading and not in_code:
            words = re.sub(r"[^\w\- ]", "", heading.group(1).lower().replace("`", ""))
            anchor = words.strip().replace(" ", "-")
            count = 0
            while (anchor if count == 0 else f"{anchor}-{count}") in found:
                count += 1
            found.add(anchor if count == 0 else f"{anchor}-{count}")
    return found


def check_links(path, lines, problem, read=None):
    """Links of a Markdown page to files and headings of this tree."""
    read = read or (lambda file: file.read_text(encoding="utf-8"))
    in_code = False
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            in_code = not in_code
        if in_code:
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (ROOT / path).parent / name if name else ROOT / path
            if not file.exists():
                problem(number, f"link to {target}: there is no such file")
            elif anchor and file.suffix == ".md" and anchor not in anchors_of(read(file)):
                problem(number, f"link to {target}: there is no such heading")


def check_whole_tree(files, problem):
    """Rules about several files at once."""
    cmake = (ROOT / "CMakeLists.txt").read_text()
    project = re.search(r"project\(umbra VERSION (\S+)", cmake)
    header = re.search(r'version = "([^"]+)"', (ROOT / "hub/admin/version.h").read_text())
    if not project or not header or project.group(1) != header.group(1):
        problem("hub/admin/version.h", 1, "the version differs from the one in CMakeLists.txt")
    if not project or f"ARG VERSION={project.group(1)}\n" not in (ROOT / "Dockerfile").read_text():
        problem("Dockerfile", 1, "the version differs from the one in CMakeLists.txt")
    for path in files:
        if path.startswith("tests/fuzz/") and path.endswith("_fuzz.cpp"):
            corpus = ROOT / "tests/fuzz/corpus" / pathlib.Path(path).stem.removesuffix("_fuzz")
            if not corpus.is_dir() or not any(corpus.iterdir()):
                problem(path, 1, f"a fuzz target has a corpus in {corpus.relative_to(ROOT)}/")
        file = ROOT / path
        if file.read_bytes()[:2] == b"#!" and not file.stat().st_mode & 0o111:
            problem(path, 1, "a script is executable")


def check_patches(patches, problem, root=ROOT):
    """A planted bug that does not apply any more is one that nobody looks for (scripts/mutants)."""
    for path in patches:
        ran = subprocess.run(["patch", "--strip=1", "--dry-run", "--force", "--input", str(root / path)], cwd=root, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            problem(path, 1, "the patch does not apply any more")


def tracked_files():
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True,
                             check=True, text=True).stdout
    return sorted(path for path in listing.split("\0") if path and (ROOT / path).is_file())


def self_test():
    """Each rule finds what it is there for."""
    def found(check, path, text):
        problems = []
        check(path, text.splitlines(keepends=True), lambda number, what: problems.append(what))
        return problems

    good = "// What it is.\n#pragma once\n"
    cases = [
        (check_source, "smtp/a.h", good, 0),
        (check_source, "smtp/a.h", good + '#include "base/ids.h"\n#include "smtp/b.h"\n', 0),
        (check_source, "smtp/a.h", good + '#include "storage/spool.h"\n', 1),
        (check_source, "storage/a.h", good + '#include "cluster/lease.h"\n', 1),
        (check_source, "base/a.h", good + '#include "smtp/b.h"\n', 1),
        (check_source, "cluster/a.cpp", '#include "hub/hub.h"\n', 1),
        (check_source, "hub/a.cpp", '#include "hub.h"\n', 1),
        (check_source, "hub/a.h", "#pragma once\n", 1),
        (check_source, "hub/a.h", "// What it is.\n", 1),
        (check_source, "hub/a.cpp", "int a; \n", 1),
        (check_source, "hub/a.cpp", "\tint a;\n", 1),
        (check_source, "hub/a.cpp", "int a;\n" * (LINES_MAX + 1), 1),
        (check_source, "hub/a.cpp", "// This file is long because it is a table.\n" + "int a;\n" * LINES_MAX, 0),
        (check_banned, "hub/a.cpp", "auto t = std::chrono::steady_clock::now();\n", 1),
        (check_banned, "base/clock.cpp", "auto t = std::chrono::steady_clock::now();\n", 0),
        (check_banned, "hub/a.cpp", "sqlite3_open_v2(name, &db);\n", 1),
        (check_banned, "storage/database.cpp", "sqlite3_open_v2(name, &db);\n", 0),
        (check_banned, "hub/a.cpp", "co_spawn(io, f(), asio::detached);\n", 1),
        (check_banned, "hub/a.cpp", "// TODO later\n", 1),
        (check_banned, "hub/a.cpp", '"umbra_XXXXXX"\n', 0),
        (check_banned, "smtp/a.cpp", "#include <boost/asio.hpp>\n", 1),
        (check_banned, "hub/a.cpp", "std::this_thread::sleep_for(1s);\n", 1),
        (check_links, "README.md", "[a](CMakeLists.txt) [b](https://example.com/x)\n", 0),
        (check_links, "README.md", "[a](missing.md)\n", 1),
        (check_links, "README.md", "# One Two\n[a](README.md#no-such-heading)\n", 1),
        (check_links, "README.md", "```\n[a](missing.md)\n```\n", 0),
    ]
    failed = 0
    for check, path, text, expected in cases:
        problems = found(check, path, text)
        if len(problems) != expected:
            failed += 1
            print(f"self-test: {check.__name__} on {path} {text[:60]!r}: found {problems}, expected {expected}")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "a.cpp").write_text("int one;\nint two;\n")
        (root / "good.patch").write_text("--- a/a.cpp\n+++ b/a.cpp\n@@ -1,2 +1,1 @@\n int one;\n-int two;\n")
        (root / "bad.patch").write_text("--- a/a.cpp\n+++ b/a.cpp\n@@ -1,2 +1,1 @@\n int one;\n-int three;\n")
        bad = []
        check_patches(["good.patch", "bad.patch"], lambda path, number, what: bad.append(path), root)
        if bad != ["bad.patch"]:
            failed += 1
            print(f"self-test: check_patches: {bad}")
    if anchors_of("# The `umbra` command, and more\n## A\n## A\n") != {"the-umbra-command-and-more", "a", "a-1"}:
        failed += 1
        print("self-test: anchors_of")
    return failed


def main():
    if "--self-test" in sys.argv:
        return 1 if self_test() else 0
    problems = []
    files = tracked_files()
    for path in files:
        suffix = pathlib.Path(path).suffix
        if suffix not in TEXT_SUFFIXES:
            continue
        try:
            lines = (ROOT / path).read_text(encoding="utf-8").splitlines(keepends=True)
        except UnicodeDecodeError:
            problems.append(f"{path}:1: not UTF-8")
            continue

        def problem(number, what, path=path):
            problems.append(f"{path}:{number}: {what}")

        if suffix in (".h", ".cpp"):
            check_source(path, lines, problem)
            check_banned(path, lines, problem)
        if suffix == ".md":
            check_links(path, lines, problem)
        if lines and not lines[-1].endswith("\n"):
            problem(len(lines), "no line end at the end of the file")
    check_whole_tree(files, lambda path, number, what: problems.append(f"{path}:{number}: {what}"))
    check_patches([path for path in files if path.endswith(".patch")], lambda path, number, what: problems.append(f"{path}:{number}: {what}"))
    for line in problems:
        print(line)
    print(f"tidy: {len(files)} files, {len(problems)} problems" if problems else f"tidy: {len(files)} files, clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
