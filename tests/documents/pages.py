"""Pages of the documentation as the test sees them: blocks with their markers, and which page leads to which.

A block marked `sh` or `console` is run. Remarks in HTML comments above it say what else is known of it:

  <!-- not run here: REASON; see tests/PATH -->   it needs what this test has not; PATH is what runs it instead
  <!-- exits with N -->                           its last command ends so
  <!-- until interrupted -->                      each line goes on until Ctrl-C
  <!-- before: COMMAND -->                         is run first, in the same shell: what a reader has done otherwise (edited a file, say)
  <!-- scene: clone -->                           anywhere in a page: its blocks begin in a clone after `make`, without hubs (scene.py)
"""
import dataclasses
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = ("sh", "console")
LOOKS_LIKE_A_COMMAND = re.compile(r"(\$ |umbra (?!xshadow)|umbra-load |curl |systemctl |kubectl |helm |docker |swaks )")


@dataclasses.dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    exit_code: int = 0
    until_interrupted: bool = False
    before: str = ""
    not_run: str = ""  # why, and what runs it instead

    @property
    def place(self):
        return f"{self.page}:{self.line}"


@dataclasses.dataclass
class Page:
    path: str
    scene: str
    blocks: list
    problems: list

    def commands(self):
        return [block for block in self.blocks if block.language in COMMANDS]


def read(path, text, exists=lambda path: (ROOT / path).exists()):
    """A page from its text. What is wrong with its markers is in `problems`."""
    page = Page(path, "cluster", [], [])
    remarks, body, language, begun = [], [], None, 0
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"```(\w*)\s*$", line)
        if language is None and fence:
            language, begun, body = fence.group(1) or "none", number, []
        elif language is not None and line.startswith("```"):
            block = Block(path, begun, language, "\n".join(body) + "\n")
            for remark in remarks:
                understand(block, remark, page, exists)
            if language == "none" and LOOKS_LIKE_A_COMMAND.match(block.text):
                page.problems.append(f"{block.place}: it looks like commands: mark it `sh` or `console`")
            page.blocks.append(block)
            language, remarks = None, []
        elif language is not None:
            body.append(line)
        else:
            remark = re.fullmatch(r"<!-- (.*) -->", line.strip())
            scene = remark and re.fullmatch(r"scene: (\w+)", remark.group(1))
            if scene:
                page.scene = scene.group(1)
                if page.scene not in ("cluster", "clone"):
                    page.problems.append(f"{path}:{number}: there is no scene {page.scene}")
            elif remark:
                remarks.append(remark.group(1))
            elif line.strip():
                remarks = []
    return page


def understand(block, remark, page, exists):
    instead = re.fullmatch(r"not run here: (.+); see (\S+)", remark)
    code = re.fullmatch(r"exits with (\d+)", remark)
    if instead:
        block.not_run = remark
        if not exists(instead.group(2)):
            page.problems.append(f"{block.place}: {instead.group(2)}, which is said to run it, is not there")
    elif code:
        block.exit_code = int(code.group(1))
    elif remark.startswith("before: "):
        block.before += remark.removeprefix("before: ") + "\n"
    elif remark == "until interrupted":
        block.until_interrupted = True
    elif remark.startswith("not run"):
        page.problems.append(f"{block.place}: what is not run says why and what runs it: not run here: REASON; see PATH")


def tracked():
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    return sorted(name for name in names if name in ("README.md", "CONTRIBUTING.md") or name.startswith(("docs/", "helm/")))


def unreachable(paths, text_of):
    """Pages below docs/ to which no way leads from docs/README.md. A link to a folder leads to all in it."""
    seen, ahead = set(), ["docs/README.md"]
    while ahead:
        here = ahead.pop()
        if here in seen:
            continue
        seen.add(here)
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text_of(here)):
            path = pathlib.PurePosixPath(here).parent / target
            parts = []
            for part in path.parts:
                if part == "..":
                    parts = parts[:-1]
                elif part != ".":
                    parts.append(part)
            name = "/".join(parts)
            ahead += [other for other in paths if other == name or other.startswith(name + "/")]
    return [path for path in paths if path.startswith("docs/") and path not in seen]
