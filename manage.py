#!/usr/bin/env python3
"""Django's command line for Drover: `watch`, `console`, `token create` and Django's own."""

import os
import sys
from pathlib import Path

from cluster.env import load_env_file


def main() -> None:
    load_env_file(Path(__file__).resolve().with_name(".env"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cluster.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
