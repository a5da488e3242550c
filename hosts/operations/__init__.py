"""Operations on hosts and networks. Importing the package registers them with jobs."""

from hosts.operations import cpu, onboarding, preflight

__all__ = ["cpu", "onboarding", "preflight"]
