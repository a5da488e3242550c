"""The one exception that the lab tells its user about."""


class LabError(Exception):
    """Something the user can understand and act on; shown without a traceback."""
