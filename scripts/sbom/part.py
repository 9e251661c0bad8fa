"""Something that is linked into the program, or builds it, and is no crate."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A library that comes inside of something else, with a version that was read from its sources."""

    name: str
    version: str
    license: str
    purl: str
    origin: str  # where its sources are, for people
    users: tuple[str, ...] = ()  # the names of the crates and parts that call it; of none, the program itself
    cpe: str = ""  # what the advisories of plain C libraries go by
    sources: str = ""  # its directory among the sources that are compiled, where it has one
    libraries: tuple[str, ...] = ()  # the beginnings of the names of its static libraries
    is_linked: bool = True
