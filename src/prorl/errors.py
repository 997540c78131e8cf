"""The two ways a command ends badly."""


class UserError(ValueError):
    """The configuration or an input is wrong: one line with its name, its value, what is allowed, the fix. Exit 2."""


class RunFailed(RuntimeError):
    """The run cannot go on: one line that says why and where to look. Exit 1."""


class RankFailed(RunFailed):
    """A rank is gone, or failed by what is no message for people; the run goes on when all are started anew."""


class NoGroups(RunFailed):
    """A step found no batch to train on; the step before it is whole and can be saved."""
