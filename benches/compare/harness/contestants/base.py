"""What every contestant says of itself."""


class Contestant:
    """A proxy in one configuration. Subclasses start it."""

    # The programs and modules it needs, as programs.py names them.
    programs = ()
    # Whether it refuses unknown keys, and whether it refuses a customer whose limit is reached.
    checks_keys = True
    counts = True
    # The share of requests on a spent quota that it lets through by its nature.
    stray = 0.0

    def __init__(self, name, summary, extra=False):
        self.name = name
        self.summary = summary
        self.extra = extra

    def start(self, stage, workload, tls=False):
        """Starts it in a directory of its own and waits until it takes connections."""
        raise NotImplementedError

    def lacks_tls(self, stage):
        """Why it cannot be measured with TLS; None when it can."""
        return None
