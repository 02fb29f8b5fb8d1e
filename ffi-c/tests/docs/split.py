"""Takes docs/c.md apart: the commands and files as one script, and each snippet as a program.

Usage: split.py GUIDE FOLDER

Writes FOLDER/guide.sh, FOLDER/run-LINE.c and .cpp (snippets of statements), and
FOLDER/compile-LINE.c and .cpp (snippets of whole functions).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# What stands at the beginning of a line of whole functions, and never of statements in one.
WHOLE = re.compile(r"^(#include|static|typedef|class|struct|int main)\b", re.MULTILINE)
# What goes around statements, by language.
WRAPPED = {
    "c": (
        "void snippet(spanwire_channel *channel, spanwire_queue *queue) {\n"
        "(void)channel;\n(void)queue;\n",
        "}\n",
    ),
    "cpp": (
        "task<status> snippet(OrdersClient &orders, spanwire::loop &loop) {\n"
        "(void)orders;\n(void)loop;\n",
        "co_return status();\n}\n",
    ),
}


def blocks(text: str) -> list[tuple[str, int, str]]:
    """The fenced blocks: language, number of the first line, code."""
    found = []
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        found.append((match.group(1), text.count("\n", 0, match.start()) + 2, match.group(2)))
    return found


def main(guide: Path, folder: Path) -> None:
    """Writes the files."""
    script = ""
    for language, line, code in blocks(guide.read_text()):
        named = re.match(r"(?://|#) ([\w./-]+\.\w+)\n", code)
        if named:
            path = named.group(1)
            script += f"mkdir -p $(dirname {path})\n"
            script += f"cat >{path} <<'END OF FILE'\n{code}END OF FILE\n"
        elif language == "sh":
            script += f"echo '== line {line}'\n{code}"
        elif language in WRAPPED:
            whole = WHOLE.search(code) is not None
            begin, end = ("", "") if whole else WRAPPED[language]
            # Errors are reported with the lines of the guide.
            text = f'#include "prelude.{language}"\n{begin}#line {line} "{guide}"\n{code}{end}'
            name = "compile" if whole else "run"
            (folder / f"{name}-{line}.{language}").write_text(text)
    (folder / "guide.sh").write_text(script)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
