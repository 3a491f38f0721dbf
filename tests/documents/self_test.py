"""What must fail does: markers, shapes of output, pages without a way to them."""
import inline
import pages
import shell


def read(text):
    return pages.read("docs/x.md", text, exists=lambda path: path == "tests/there")


def cases():
    """(what, is it so)"""
    yield "a block is run", read("```sh\ntrue\n```\n").commands()[0].not_run == ""
    yield "a reason counts", read("<!-- not run here: no daemon; see tests/there -->\n```sh\ntrue\n```\n").commands()[0].not_run != ""
    yield "a reason without a test does not", read("<!-- not run here: no daemon -->\n```sh\ntrue\n```\n").problems != []
    yield "nor with one that is not there", read("<!-- not run here: no daemon; see tests/gone -->\n```sh\ntrue\n```\n").problems != []
    yield "nor with words between", read("<!-- not run here: no daemon; see tests/there -->\nwords\n```sh\ntrue\n```\n").commands()[0].not_run == ""
    yield "commands without a mark are found", read("```\numbra status\n```\n").problems != []
    yield "text without a mark is text", read("```\na ──▶ b\n```\n").problems == []
    yield "spaces and numbers of a table", shell.matches("ID   N\nhub  17\n", "ID N\nhub      4\n")
    yield "nothing is not something", not shell.matches("lost 0\n", "lost 5\n")
    yield "something is not nothing", not shell.matches("queued 5\n", "queued 0\n")
    yield "codes of SMTP", not shell.matches("250 2.0.0 ok\n", "451 4.4.0 ok\n") and shell.matches("250 2.0.0 ok\n", "250 2.0.0 ok\n")
    yield "times and ids", shell.matches("2026-11-27T23:10:00.126Z 9f86d081884c7d65-10000000002\n", "2025-01-01T00:00:00.000Z 1111111111111111-1ff\n")
    yield "left out lines", shell.matches("a\n...\nz\n", "a\nb\nc\nz\n") and not shell.matches("a\n...\nz\n", "a\nb\n")
    yield "left out words", shell.matches("took ... from hub-b\n", "took 5 messages from hub-b\n")
    yield "a line too many", not shell.matches("a\n", "a\nb\n")
    yield "a name is not another", not shell.matches("hub-a alive\n", "hub-b alive\n")
    help_of = {("umbra",): ("", {"queue", "trace"}), ("umbra", "queue"): ("", {"list", "show"}), ("umbra", "queue", "list"): ("--state TEXT", set()),
               ("umbra", "trace"): ("--since TEXT", set())}.get
    yield "a command within a line", inline.what_is_wrong("umbra queue list --state held", help_of) is None
    yield "one that is none", inline.what_is_wrong("umbra queue lits", help_of) is not None
    yield "an option that is none", inline.what_is_wrong("umbra queue list --stat held", help_of) is not None
    yield "arguments are not commands", inline.what_is_wrong("umbra trace ID --since 2h", help_of) is None
    texts = {"docs/README.md": "[a](a.md) [d](d)", "docs/a.md": "[b](../docs/b.md#x)", "docs/b.md": "", "docs/d/e.md": "", "docs/lost.md": "[a](a.md)"}
    yield "a page without a way", pages.unreachable(sorted(texts), texts.get) == ["docs/lost.md"]


def main():
    bad = [what for what, is_so in cases() if not is_so]
    for what in bad:
        print(f"self-test: not so: {what}")
    return 1 if bad else 0
