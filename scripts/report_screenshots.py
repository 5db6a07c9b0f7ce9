"""The pictures of the report in docs/images, from a real run: `.venv/bin/python scripts/report_screenshots.py RUN`."""

from __future__ import annotations

import argparse
import sys
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
    image = page.screenshot(top=top, height=height)
    if len(image) > MOST_BYTES:
        raise SystemExit(f"{name} has {len(image)} bytes; {MOST_BYTES} are allowed")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.png").write_bytes(image)
    sys.stdout.write(f"docs/images/{name}.png, {len(image) // 1000} kB\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run directory with an accuracy test")
    args = parser.parse_args()
    if chromium() is None:
        raise SystemExit("no chromium: install Debian's package chromium")
    report = write_report(args.run)
    with page_of(report, width=1180) as page:
        shoot(page, "report-light", height=1330)
        shoot(page, "report-gallery", "gallery", 460)
        page.prefer(dark=True)
        shoot(page, "report-dark", "single_stream", 1330)
    with page_of(report, width=360, height=740) as page:
        shoot(page, "report-phone", height=1500)


if __name__ == "__main__":
    main()
