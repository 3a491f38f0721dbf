"""Commands within a line of text (`umbra queue list --state held`): they are not run, but each must be a command with these options."""
import functools
import re
import subprocess

from lab import places

PROGRAMS = {"umbra": places.UMBRA, "umbra-load": places.UMBRA_LOAD}


@functools.cache
def help_of(words):
    """The help of a command: its text, and the names of its subcommands."""
    text = subprocess.run([str(PROGRAMS[words[0]]), *words[1:], "--help"], stdout=subprocess.PIPE, check=True, text=True, timeout=20).stdout
    listed = text.split("Subcommands:\n")[1].split("\n\n")[0] if "Subcommands:\n" in text else ""
    return text, set(re.findall(r"^  ([a-z][a-z-]*)", listed, re.MULTILINE))


def what_is_wrong(code, help_of=help_of):
    """None, or what no such program knows of it."""
    # `a|b` in a table is any of them.
    code = code.replace("\\|", "|")
    for one in re.split(r"\s&&\s|;\s", code):
        words = one.split()
        if not words or words[0] not in PROGRAMS:
            continue
        command, rest = (words[0],), words[1:]
        while rest:
            _, known = help_of(command)
            choices = rest[0].split("|")
            if known and all(choice in known for choice in choices):
                command, rest = (*command, choices[0]), rest[1:]
            elif known and all(re.fullmatch(r"[a-z][a-z-]*", choice) for choice in choices):
                return f"`{' '.join(command)}` has no command {rest[0]}"
            else:
                break
        text, _ = help_of(command)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", " ".join(rest)):
            if not re.search(re.escape(option) + r"(?![a-z-])", text):
                return f"`{' '.join(command)}` has no option {option}"
    return None


def problems(path, text):
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        fenced = not fenced if line.startswith("```") else fenced
        for code in [] if fenced else re.findall(r"`([^`]+)`", line):
            wrong = what_is_wrong(code)
            if wrong:
                found.append(f"{path}:{number}: `{code}`: {wrong}")
    return found
