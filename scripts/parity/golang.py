"""As much of Go as it takes to read which flags and metrics a program has."""

import ast
import re

# A comment, a text, a raw text or a character, whichever begins first.
TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)+'""", re.DOTALL)
NANOSECONDS = {
    "Nanosecond": 1,
    "Microsecond": 10**3,
    "Millisecond": 10**6,
    "Second": 10**9,
    "Minute": 60 * 10**9,
    "Hour": 3600 * 10**9,
}


def without_comments(source: str) -> str:
    """The same lines without their comments."""

    def blank(match: re.Match) -> str:
        is_comment = match[0].startswith(("//", "/*"))
        return re.sub(r"[^\n]", " ", match[0]) if is_comment else match[0]

    return TOKEN.sub(blank, source)


def arguments(source: str, at: int) -> list[str]:
    """The arguments of a call whose opening parenthesis is in this column."""
    found, depth, begin = [], 0, at + 1
    while at < len(source):
        text = TOKEN.match(source, at)
        if text:
            at = text.end()
            continue
        char = source[at]
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 or (depth == 1 and char == ","):
            found.append(source[begin:at].strip())
            begin = at + 1
        if depth == 0:
            return [argument for argument in found if argument]
        at += 1
    raise ValueError("a call is not closed")


def text(literal: str) -> str | None:
    """What a literal of text says; none for anything else."""
    match = TOKEN.fullmatch(literal)
    if not match or literal[0] not in '"`':
        return None
    return literal[1:-1] if literal[0] == "`" else ast.literal_eval(literal)


def number(expression: str) -> int:
    """The value of an expression of whole numbers and of durations, which count in nanoseconds."""
    spelt = re.sub(r"\btime\.(\w+)\b", lambda match: str(NANOSECONDS.get(match[1], match[0])), expression)
    operators = {
        ast.Mult: lambda a, b: a * b,
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.LShift: lambda a, b: a << b,
    }

    def value(node: ast.AST) -> int:
        match node:
            case ast.Constant(value=int(found)):
                return found
            case ast.BinOp(left=left, op=op, right=right) if type(op) in operators:
                return operators[type(op)](value(left), value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
        raise ValueError(f"the value of {expression} is not understood")

    try:
        return value(ast.parse(spelt, mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"the value of {expression} is not understood") from error


def line_of(source: str, at: int) -> int:
    return source.count("\n", 0, at) + 1
