"""Opens a report in headless Chromium and tells what is wrong with it.

    python3 tests/browser/check_report.py REPORT.html [--screenshot FILE.png] [--height PIXELS]

Prints a line for each fault and exits 1 if there is any: an error in the console, a request, a figure that
is not drawn, a caption that cannot be seen, a page wider than its window.
"""

import argparse
import sys

import chromium

# Of every figure: its name, whether Plotly drew it (with something in it), and whether its caption shows.
_LOOK_AT_FIGURES = """[...document.querySelectorAll('figure')].map((figure) => {
  const caption = figure.querySelector('figcaption');
  return {
    name: figure.id,
    surfaces: figure.querySelectorAll('.main-svg').length,
    marks: figure.querySelectorAll('.trace, .heatmaplayer image, .point, .textpoint').length,
    caption: !!caption && caption.textContent.trim() !== '' && caption.checkVisibility() && caption.clientHeight > 0,
  };
})"""


def faults(page):
    """What is wrong with an open page, in words."""
    found = page.complaints()
    figures = page.evaluate(_LOOK_AT_FIGURES)
    if not figures:
        found.append("the page has no figure")
    for figure in figures:
        if not figure["surfaces"] or not figure["marks"]:
            found.append(f"{figure['name']} is not drawn")
        if not figure["caption"]:
            found.append(f"{figure['name']} has no visible caption")
    wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if wide > window:
        found.append(f"the page is {wide} pixels wide in a window of {window}")
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("report")
    arguments.add_argument("--screenshot")
    arguments.add_argument("--height", type=int, help="pixels of the page on the screenshot")
    given = arguments.parse_args()
    with chromium.Chromium() as browser:
        page = chromium.Page(browser)
        page.open(given.report)
        found = faults(page)
        if given.screenshot:
            page.screenshot(given.screenshot, given.height)
    print("\n".join(found) if found else "the report is as it should be")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
