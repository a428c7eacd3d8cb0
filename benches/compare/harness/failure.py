"""What stops a run, said in words for whoever started it."""


class Failure(Exception):
    """An expected reason to stop: a missing program, a contestant that does not start."""
