"""What became of one kind of cases at one contestant."""

from dataclasses import dataclass, field


@dataclass
class Verdict:
    """How many there were, and which failed, each with what was said of it."""

    total: int = 0
    skipped: int = 0
    failed: list = field(default_factory=list)

    @property
    def passed(self):
        return self.total - self.skipped - len(self.failed)
