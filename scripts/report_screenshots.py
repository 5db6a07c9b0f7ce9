"""The pictures of the report in docs/images, from real runs.

`.venv/bin/python scripts/report_screenshots.py RUN` makes them of a run with an accuracy test; ``--server RUN`` adds
one of a run of Server, ``--peak RUN`` one of a search for its peak. The picture of paper needs ``pdftoppm`` (Debian's
poppler-utils).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.report.page import write_report

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.browser import Page, chromium, page_of  # noqa: E402 - the tests are beside the package, not in it

FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 400_000


def shoot(page: Page, name: str, section: str | None = None, height: int = 1100) -> None:
    """Saves what is on the page from a section's top on."""
    page.settle()
    top = 0 if section is None else page.evaluate(f"document.getElementById('{section}').offsetTop")
    keep(name, page.screenshot(top=top, height=height))


def printed(page: Page, name: str, number: int) -> None:
    """Saves a page of it as it is printed."""
    pdftoppm = shutil.which("pdftoppm")
    if pdftoppm is None:
        raise SystemExit("no pdftoppm: install Debian's package poppler-utils")
    with tempfile.TemporaryDirectory() as folder:
        pdf, image = Path(folder, "report.pdf"), Path(folder, "page")
        pdf.write_bytes(page.pdf())
        options = ["-r", "80", "-f", str(number), "-l", str(number), "-singlefile", "-png"]
        subprocess.run([pdftoppm, *options, str(pdf), str(image)], check=True)
        keep(name, image.with_suffix(".png").read_bytes())


def keep(name: str, image: bytes) -> None:
    """Saves a picture."""
    if len(image) > MOST_BYTES:
        raise SystemExit(f"{name} has {len(image)} bytes; {MOST_BYTES} are allowed")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.png").write_bytes(image)
    sys.stdout.write(f"docs/images/{name}.png, {len(image) // 1000} kB\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run directory with an accuracy test")
    parser.add_argument("--server", type=Path, metavar="RUN", help="a run of Server")
    parser.add_argument("--peak", type=Path, metavar="RUN", help="a run of find-peak in Server")
    args = parser.parse_args()
    if chromium() is None:
        raise SystemExit("no chromium: install Debian's package chromium")
    report = write_report(args.run)
    with page_of(report, width=1180) as page:
        shoot(page, "report-light", height=1330)
        shoot(page, "report-gallery", "gallery", 460)
        page.prefer(dark=True)
        shoot(page, "report-dark", "single_stream", 1330)
        page.prefer(dark=False)
        printed(page, "report-print", 2)
    with page_of(report, width=360, height=740) as page:
        shoot(page, "report-phone", height=1500)
    if args.server is not None:
        with page_of(write_report(args.server), width=1180) as page:
            shoot(page, "report-server", "server", 2330)
    if args.peak is not None:
        with page_of(write_report(args.peak), width=1180) as page:
            shoot(page, "report-peak", "peak", 880)


if __name__ == "__main__":
    main()
