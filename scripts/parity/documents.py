"""Reads YAML as manifests, charts and custom resource definitions are written, without a package of Python's.

Maps, lists, both kinds of quotes, block texts, flow style on one line, anchors, several documents. What it does not
know it refuses, by file and line, and so it does with words that two versions of YAML read differently (`yes`, `0644`):
a value that was misread would be a difference that nobody sees.
"""

import re
from collections.abc import Callable

# What YAML 1.1 takes for a boolean or a number and YAML 1.2 does not, or not for the same.
AMBIGUOUS = re.compile(r"(?i:y|n|yes|no|on|off)|[-+]?0[0-9_]+|0[xob][0-9a-fA-F_]+|[-+]?\d[\d_]*_[\d_]*|[-+]?\d+(:\d+)+")
NUMBER = re.compile(r"[-+]?\d+")
REAL = re.compile(r"[-+]?\d+\.\d*|[-+]?\d+(\.\d*)?[eE][-+]?\d+")
CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
CONSTANTS |= {spelt: value for value in (True, False) for spelt in (str(value), str(value).lower(), str(value).upper())}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\", "/": "/"}


class Unreadable(ValueError):
    """Text that is not of the YAML that is understood here."""


def read(text: str, name: str) -> list:
    """The documents of a text; empty ones are left out. `name` is for errors."""
    found = []
    for first, lines in split(text):
        reader = Reader(lines, first, name)
        if reader.peek() is not None:
            found.append(reader.whole())
    return found


def split(text: str) -> list[tuple[int, list[str]]]:
    """The lines of each document, with the number of the first."""
    parts, current, first = [], [], 1
    for number, line in enumerate(text.splitlines(), 1):
        if re.fullmatch(r"---(\s+#.*|\s*)", line):
            parts.append((first, current))
            current, first = [], number + 1
        else:
            current.append(line)
    return [*parts, (first, current)]


class Reader:
    """One document, line by line."""

    def __init__(self, lines: list[str], first: int, name: str) -> None:
        self.lines, self.first, self.name = lines, first, name
        self.at = 0
        self.anchors: dict[str, object] = {}

    def refuse(self, why: str) -> Unreadable:
        return Unreadable(f"{self.name}:{self.first + min(self.at, len(self.lines) - 1)}: {why}")

    def peek(self) -> tuple[int, str] | None:
        """Indentation and text of the next line that says something."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            text = line.strip()
            if text and not text.startswith("#"):
                indent = len(line) - len(line.lstrip(" "))
                if line[indent] == "\t":
                    raise self.refuse("a tab indents")
                return indent, text
            self.at += 1
        return None

    def whole(self) -> object:
        value = self.block(0)
        if self.peek() is not None:
            raise self.refuse("this belongs to nothing above it")
        return value

    def block(self, least: int) -> object:
        """What stands on the next lines, with at least this indentation; null where nothing does."""
        line = self.peek()
        if line is None or line[0] < least:
            return None
        indent, text = line
        if text == "-" or text.startswith("- "):
            return self.sequence(indent)
        if key_of(text) is not None:
            return self.mapping(indent)
        self.at += 1
        return self.value(text, indent - 1)

    def sequence(self, indent: int) -> list:
        found = []
        while (line := self.peek()) and line[0] == indent and (line[1] == "-" or line[1].startswith("- ")):
            rest = line[1][1:].strip()
            if key_of(rest) is not None or rest.startswith("- "):
                # What follows the dash is a block of its own, which begins in its column.
                inner = self.lines[self.at].index("-") + 1
                self.lines[self.at] = " " * inner + self.lines[self.at][inner:]
                found.append(self.block(indent + 1))
            else:
                self.at += 1
                found.append(self.value(rest, indent))
        return found

    def mapping(self, indent: int) -> dict:
        found: dict[str, object] = {}
        while (line := self.peek()) and line[0] == indent:
            parts = key_of(line[1])
            if parts is None:
                raise self.refuse("neither a key nor a part of the value above")
            key, rest = parts
            if key in found:
                raise self.refuse(f"{key} is there twice")
            self.at += 1
            found[key] = self.value(rest, indent, in_map=True)
        return found

    def value(self, text: str, indent: int, in_map: bool = False) -> object:
        """What follows a key or a dash of this indentation."""
        if text.startswith("&"):
            anchor, _, rest = text[1:].partition(" ")
            self.anchors[anchor] = self.value(rest.strip(), indent, in_map)
            return self.anchors[anchor]
        if text.startswith("*"):
            alias = without_comment(text)[1:]
            if alias not in self.anchors:
                raise self.refuse(f"there is no anchor {alias}")
            return self.anchors[alias]
        if not text or text.startswith("#"):
            return self.below(indent, in_map)
        if text[0] in "|>":
            return self.text_block(text, indent)
        if text[0] in "[{":
            flow = Flow(text, self)
            value = flow.value()
            if without_comment(" " + text[flow.at:]):
                raise self.refuse("more follows a value in flow style")
            return value
        if text[0] in "'\"":
            return self.quoted(text)
        if text[0] in "!%@`?":
            raise self.refuse(f"a value that begins with {text[0]} is not understood")
        return self.plain(text, indent)

    def below(self, indent: int, in_map: bool) -> object:
        """A value on lines of its own. The lists in a map may have the indentation of their key."""
        line = self.peek()
        if in_map and line and line[0] == indent and (line[1] == "-" or line[1].startswith("- ")):
            return self.sequence(indent)
        return self.block(indent + 1)

    def continuation(self, indent: int) -> list[str]:
        """The further lines of a scalar; an empty text stands for each empty line."""
        found = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            found.append(line.strip())
            self.at += 1
        while found and not found[-1]:
            found.pop()
            self.at -= 1
        return found

    def plain(self, text: str, indent: int) -> object:
        first = without_comment(text)
        if first != text.strip():
            return self.scalar(first)
        further = self.continuation(indent)
        if any(line.startswith("#") or key_of(line) is not None for line in further):
            raise self.refuse("a text without quotes goes on with a comment or a key")
        return self.scalar(fold([first, *further])) if further else self.scalar(first)

    def scalar(self, text: str) -> object:
        if text in CONSTANTS:
            return CONSTANTS[text]
        if AMBIGUOUS.fullmatch(text):
            raise self.refuse(f"{text} means different things in YAML 1.1 and 1.2; quotes make it clear")
        if NUMBER.fullmatch(text):
            return int(text)
        return float(text) if REAL.fullmatch(text) else text

    def quoted(self, text: str) -> str:
        lines = [text]
        while (end := end_of_quotes(lines[0] if len(lines) == 1 else fold(lines))) is None:
            if self.at >= len(self.lines):
                raise self.refuse("quotes are not closed")
            lines.append(self.lines[self.at].strip())
            self.at += 1
        text = fold(lines)
        if without_comment(" " + text[end:]):
            raise self.refuse("more follows the closing quotes")
        return self.unquoted(text[:end])

    def unquoted(self, text: str) -> str:
        if text[0] == "'":
            return text[1:-1].replace("''", "'")

        def meant(match: re.Match) -> str:
            if match[1] not in ESCAPES:
                raise self.refuse(f"the escape \\{match[1]} is not understood")
            return ESCAPES[match[1]]

        return re.sub(r"\\(.)", meant, text[1:-1])

    def text_block(self, header: str, indent: int) -> str:
        style = re.fullmatch(r"([|>])([-+]?)", without_comment(header))
        if style is None:
            raise self.refuse(f"the block text {header} is not understood")
        raw = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            raw.append(line)
            self.at += 1
        margin = min((len(line) - len(line.lstrip(" ")) for line in raw if line.strip()), default=0)
        lines = [line[margin:].rstrip() if style[1] == ">" else line[margin:] for line in raw]
        ending = len(lines)
        while ending and not lines[ending - 1].strip():
            ending -= 1
        kept = lines[:ending]
        if style[1] == ">" and any(line.startswith(" ") for line in kept):
            raise self.refuse("a folded text with lines that are indented further is not understood")
        text = fold(kept) if style[1] == ">" else "\n".join(kept)
        end = {"-": "", "": "\n" if kept else "", "+": "\n" * (len(lines) - ending + bool(kept))}
        return text + end[style[2]]


class Flow:
    """A value in flow style, which ends on the line on which it begins."""

    WORD = re.compile(r"[^\[\]{},:]*(?::(?![\s,\]}])[^\[\]{},:]*)*")

    def __init__(self, text: str, reader: Reader) -> None:
        self.text, self.reader = text, reader
        self.at = 0

    def value(self) -> object:
        self.skip_spaces()
        if self.takes("["):
            return self.items("]", self.value)
        if self.takes("{"):
            pairs = self.items("}", self.pair)
            if len(dict(pairs)) != len(pairs):
                raise self.reader.refuse("a key is there twice")
            return dict(pairs)
        if self.text[self.at:self.at + 1] in ("'", '"'):
            return self.text_in_quotes()
        return self.reader.scalar(self.word())

    def items(self, closing: str, item: Callable[[], object]) -> list:
        found = []
        self.skip_spaces()
        while not self.takes(closing):
            found.append(item())
            self.skip_spaces()
            if not self.takes(",") and self.text[self.at:self.at + 1] != closing:
                raise self.reader.refuse(f"{closing} is missing on this line")
            self.skip_spaces()
        return found

    def pair(self) -> tuple[str, object]:
        key = self.text_in_quotes() if self.text[self.at] in "'\"" else self.word()
        self.skip_spaces()
        if not self.takes(":"):
            raise self.reader.refuse(f"{key} has no value")
        return key, self.value()

    def word(self) -> str:
        match = self.WORD.match(self.text, self.at)
        self.at = match.end()
        return match[0].strip()

    def text_in_quotes(self) -> str:
        end = end_of_quotes(self.text[self.at:])
        if end is None:
            raise self.reader.refuse("quotes are not closed on this line")
        self.at += end
        return self.reader.unquoted(self.text[self.at - end:self.at])

    def takes(self, char: str) -> bool:
        is_there = self.text[self.at:self.at + 1] == char
        self.at += is_there
        return is_there

    def skip_spaces(self) -> None:
        while self.text[self.at:self.at + 1] == " ":
            self.at += 1


def key_of(text: str) -> tuple[str, str] | None:
    """Key and what follows, where a line has one."""
    if text[:1] in ("'", '"'):
        end = end_of_quotes(text)
        if end is None or not re.match(r"\s*:(\s|$)", text[end:]):
            return None
        return text[1:end - 1], text[end:].lstrip()[1:].strip()
    match = re.match(r"([^\s\[\]{}&*!|>%@`#,'\"-](?:[^:#]|:(?=\S)|(?<=\S)#)*?)\s*:(?:\s+(.*))?$", text)
    return (match[1], (match[2] or "").strip()) if match else None


def end_of_quotes(text: str) -> int | None:
    """The column after the quotes with which a text begins are closed."""
    form = r"'(?:[^']|'')*'(?!')" if text[0] == "'" else r'"(?:[^"\\]|\\.)*"'
    match = re.match(form, text)
    return match.end() if match else None


def without_comment(text: str) -> str:
    return re.split(r"\s#", text, maxsplit=1)[0].strip()


def fold(lines: list[str]) -> str:
    """Lines become one; an empty line is a line break."""
    text, breaks = lines[0], 0
    for line in lines[1:]:
        if not line:
            breaks += 1
            continue
        text += ("\n" * breaks or " ") + line
        breaks = 0
    return text
