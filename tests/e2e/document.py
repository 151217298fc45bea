# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes Python dictionaries, lists and scalars as the block YAML a person would write."""
import re

PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*\Z")
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if PLAIN.match(text) and text.lower() not in WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


def write(value, indent=0):
    """The document as text, every line ended."""
    space = "  " * indent
    lines = []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list, tuple)) and item:
                lines.append(f"{space}{key}:\n{write(item, indent + 1)}")
            elif isinstance(item, (dict, list, tuple)):
                lines.append(f"{space}{key}: {'{}' if isinstance(item, dict) else '[]'}\n")
            else:
                lines.append(f"{space}{key}: {scalar(item)}\n")
    else:
        for item in value:
            if isinstance(item, (dict, list, tuple)):
                body = write(item, indent + 1)
                lines.append(f"{space}- {body[len(space) + 2:]}")
            else:
                lines.append(f"{space}- {scalar(item)}\n")
    return "".join(lines)


def merge(base, change):
    """base with change laid over it: mappings deeply, everything else replaced; None removes a key."""
    result = dict(base)
    for key, item in change.items():
        if item is None:
            result.pop(key, None)
        elif isinstance(item, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], item)
        else:
            result[key] = item
    return result
