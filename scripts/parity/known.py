"""The list of known differences: known.txt.

One entry is one difference, or a few that have one reason, each on a line of its own just as the check says it; below
it, indented, is the reason. A star stands for any text, in what only this driver has. Lines with # are headings.
"""

import re
from pathlib import Path

ALONE = ": ours alone"


class Known:
    def __init__(self, path: Path) -> None:
        """Raises ValueError where the list is not written as it should be."""
        self.path = path
        # Each difference with its reason.
        self.reasons: dict[str, str] = {}
        pending: list[str] = []
        reason: list[str] = []
        for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], 1):
            if line.startswith("    "):
                if not pending:
                    raise ValueError(f"{path.name}:{number}: a reason without a difference")
                reason.append(line.strip())
                continue
            if reason:
                self.reasons |= dict.fromkeys(pending, " ".join(reason))
                pending, reason = [], []
            if not line or line.startswith("#"):
                if pending:
                    raise ValueError(f"{path.name}:{number}: the difference above has no reason")
                continue
            if line in self.reasons or line in pending:
                raise ValueError(f"{path.name}:{number}: this difference is there twice")
            if "*" in line and not line.endswith(ALONE):
                raise ValueError(f"{path.name}:{number}: a star is for what only this driver has")
            pending.append(line)

    def reason(self, difference: str) -> str | None:
        if difference in self.reasons:
            return self.reasons[difference]
        return next((self.reasons[entry] for entry in self.reasons if matches(entry, difference)), None)

    def stale(self, differences: list[str]) -> list[str]:
        """The entries that explain none of these."""
        every = set(differences)
        return [
            entry
            for entry in self.reasons
            if entry not in every and not any(matches(entry, difference) for difference in differences)
        ]


def matches(entry: str, difference: str) -> bool:
    """Whether an entry with a star stands for a difference."""
    if "*" not in entry or not entry.endswith(ALONE):
        return False
    return re.fullmatch(".*".join(re.escape(part) for part in entry.split("*")), difference) is not None
