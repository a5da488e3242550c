"""Operations on hosts and networks. Importing the package registers them with jobs."""

from hosts.operations import care, cpu, encryption, networks, onboarding, preflight, trust

__all__ = ["care", "cpu", "encryption", "networks", "onboarding", "preflight", "trust"]
