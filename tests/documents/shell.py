"""One bash for a page: what a block exports or where it goes holds for the next. Output is compared by its shape."""
import os
import pathlib
import re
import select
import shlex
import signal
import subprocess

COMMAND_SECONDS = 90
WATCH_SECONDS = 2


class Failed(Exception):
    pass


class Shell:
    def __init__(self, folder, environment):
        self.folder = pathlib.Path(folder)
        self.scratch = self.folder.parent / "shell"
        self.scratch.mkdir(exist_ok=True)
        self.count = 0
        read, write = os.pipe()
        self.codes = read
        # Options as a careful reader has them: the first command that fails ends the block.
        self.bash = subprocess.Popen(["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     cwd=self.folder, env={**environment, "UMBRA_TEST_CODES": str(write)}, pass_fds=[write], text=True)
        os.close(write)

    def run(self, text, seconds=COMMAND_SECONDS):
        """Gives (exit code, output)."""
        self.count += 1
        script, output = self.scratch / f"{self.count}.sh", self.scratch / f"{self.count}.out"
        # In the shell itself, not a child, so that variables stay; a trap notes the code where `set -e` ends it.
        script.write_text(text)
        self.bash.stdin.write(f"set -eo pipefail; trap 'echo $? >&$UMBRA_TEST_CODES' EXIT\n. {script} >{output} 2>&1 </dev/null\n"
                              f"set +e; trap - EXIT; echo 0 >&$UMBRA_TEST_CODES\n")
        self.bash.stdin.flush()
        if not select.select([self.codes], [], [], seconds)[0]:
            raise Failed(f"not done within {seconds} s:\n{output.read_text(errors='replace')}")
        said = os.read(self.codes, 64).decode()
        return int(said) if said.strip() else -1, output.read_text(errors="replace")

    def ended(self):
        return self.bash.poll() is not None


def commands_of(console):
    """[(command, expected output)] of a console block; a command goes on in lines that begin with `> `."""
    found = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1][0] += "\n" + line[2:]
        elif found:
            found[-1][1].append(line)
        else:
            raise Failed(f"a console block begins with a command: {line!r}")
    return [(command, "\n".join(lines)) for command, lines in found]


def shape(text):
    """What two runs have in common. Of numbers: nothing stays nothing, and the codes of SMTP stay what they are."""
    text = re.sub(r"\b[0-9a-f]{16}-[0-9a-f]+\b", "ID", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\d[T ][\d:.]+(Z|\+00:00)?", "TIME", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d(\.\d+)?Z?\b", "TIME", text)
    text = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "HEX", text)
    text = re.sub(r"(?<![\w.])([245]\d\d [245]\.\d\.\d+)(?![\w.])", lambda found: found.group(1).translate(str.maketrans("0123456789", "abcdefghij")), text)
    text = re.sub(r"\d+(,\d{3})*(\.\d+)?", lambda found: "0" if not found.group(0).strip("0.,") else "N", text)
    text = re.sub(r"(?<![\w])N ?(us|µs|ms|s|min|h|d)(?!\w)|(?<!\w)0 ?(us|ms|s)(?!\w)", "SPAN", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def matches(expected, actual):
    """`...` alone stands for any lines, within a line for any text."""
    pattern = ""
    for line in shape(expected):
        pattern += r"(?:[^\n]*\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), "[^\n]*") + r"\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in shape(actual))) is not None


def run_block(shell, block, names):
    """Runs one block; raises Failed with the place, the command and what came. `names` says what stands for what in the scene."""
    text = block.text
    for name, real in names.items():
        text = text.replace(name, real)
    if block.before:
        code, output = shell.run(block.before)
        if code != 0:
            raise Failed(f"{block.place}: exit code {code} before it\n{block.before}{output}")
    if block.until_interrupted:
        return run_until_interrupted(shell, block, text)
    parts = commands_of(text) if block.language == "console" else [(text, None)]
    for index, (command, expected) in enumerate(parts):
        wanted = block.exit_code if index == len(parts) - 1 else 0
        # Where a failure is what the page shows, the shell must outlive it.
        as_run = f"{command}\n" if wanted == 0 else f"code=0; ( {command}\n) || code=$?; [ $code = {wanted} ] || exit 1\n"
        code, output = shell.run(as_run)
        if code != 0:
            raise Failed(f"{block.place}: " + (f"exit code {code}" if wanted == 0 else f"not the exit code {wanted}") + f"\n$ {command}\n{output}")
        if expected is not None and not matches(expected, output):
            raise Failed(f"{block.place}: other output than the page shows\n$ {command}\n{output}---- the page:\n{expected}\n"
                         f"---- shapes:\n{shape(output)}\n{shape(expected)}")
    return None


def run_until_interrupted(shell, block, text):
    for line in text.splitlines():
        if not line.split("#")[0].strip():
            continue
        code, output = shell.run(f"timeout --foreground --signal=INT {WATCH_SECONDS} bash -c {shlex.quote(line)} && code=0 || code=$?\n"
                                 "[ $code = 0 ] || [ $code = 124 ] || exit $code\n")
        if code != 0:
            raise Failed(f"{block.place}: exit code {code}\n$ {line}\n{output}")


def end(shell):
    shell.bash.send_signal(signal.SIGKILL)
    shell.bash.wait()
