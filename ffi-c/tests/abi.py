"""Prints a C program that prints the layout of every public struct of spanwire.h.

Usage: abi.py HEADER > facts.c
"""

import re
import sys
from pathlib import Path


def fields(body: str) -> list[str]:
    """The names of a struct's fields, in order."""
    names = []
    for declaration in body.split(";"):
        text = declaration.strip()
        if not text:
            continue
        function = re.search(r"\(\*\s*(\w+)\)\s*\(", text)
        if function:
            names.append(function.group(1))
            continue
        # Several names may share a type; an array's length is no part of its name.
        for part in text.split(","):
            found = re.search(r"(\w+)\s*(?:\[[^]]*\])?\s*$", part)
            if found is None:
                raise SystemExit(f"cannot read the field: {text}")
            names.append(found.group(1))
    return names


def main(header: Path) -> None:
    """Reads the header and prints the program."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(), flags=re.DOTALL)
    print("#include <spanwire.h>\n#include <stdio.h>\nint main(void) {")
    print('  printf("spanwire_abi_version %d\\n", SPANWIRE_ABI_VERSION);')
    structs = [
        (name, body)
        for body, name in re.findall(
            r"typedef struct (?:\w+ )?\{(.*?)\} (\w+);", text, flags=re.DOTALL
        )
    ]
    if not structs:
        raise SystemExit(f"{header} has no structs")
    for name, body in structs:
        print(f'  printf("{name} %zu\\n", sizeof({name}));')
        for field in fields(body):
            print(f'  printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    print("  return 0;\n}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
