"""Waits until the pages answer and says where and how to log in. A process of its own: it costs no memory later."""

import argparse
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--web", type=Path, help="the socket of the pages")
    parser.add_argument("--ask", help="the address to ask")
    parser.add_argument("--text", help="what to say when it answers")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the Ctrl-C that ends Drover ends this without a word
    deadline = time.monotonic() + TIMEOUT_S
    while not options.web.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    text = options.text
    if not answers(options.ask, deadline):
        text = f"The pages do not answer yet; the lines above may say why. When they do:\n{text}"
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    sys.stdout.write(f"\n{bold}{text}{plain}\n\n")
    return 0


def answers(url: str, deadline: float) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # our own front: the certificate may be for another name
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        try:
            with opener.open(url, timeout=5) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main())
