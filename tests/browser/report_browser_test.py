"""A report in headless Chromium: drawn without errors, without network, and hostile names stay text.

    python3 tests/browser/report_browser_test.py MAKE_BUNDLE      the program of make_bundle.cc
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import check_report
import chromium

_HOSTILE = "</script><script>alert(1)</script><b>"  # as in make_bundle.cc
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n')


class ReportInBrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        subprocess.run([make_bundle, cls.folder], check=True)
        cls.browser = cls.enterClassContext(chromium.Chromium(deadline=240))
        with open(os.path.join(cls.folder, "report.html"), encoding="utf-8") as file:
            cls.report = file.read()
        cls.page = cls.open(cls.report)
        cls.dark = cls.open(cls.report, scheme="dark")

    @classmethod
    def open(cls, report, **how):
        path = os.path.join(cls.folder, "opened.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write(report)
        page = chromium.Page(cls.browser, **how)
        page.open(path)
        return page

    def planted(self, changes, policy=True):
        """The faults of a report with these texts replaced."""
        report = self.report if policy else _POLICY.sub("", self.report)
        for old, new in changes.items():
            self.assertTrue(old in report, old)
            report = report.replace(old, new, 1)
        return check_report.faults(self.open(report))

    def assert_any(self, pattern, found):
        self.assertTrue(any(re.search(pattern, fault) for fault in found), f"{pattern!r} is not in {found}")

    def test_has_no_fault_on_a_screen_and_in_the_dark(self):
        self.assertEqual(check_report.faults(self.page), [])
        self.assertEqual(check_report.faults(self.dark), [])
        self.assertEqual(self.page.evaluate("document.querySelectorAll('figure').length"), 4)

    def test_has_no_fault_on_a_phone(self):
        self.assertEqual(check_report.faults(self.open(self.report, width=390, height=844)), [])

    def test_hostile_names_stay_text(self):
        self.assertEqual(self.page.evaluate("document.scripts.length"), 4 + 2, "one for each figure, Plotly, ours")
        for place in ("li b", "figcaption", ".finding", ".card", "td", "figure h3"):
            texts = self.page.evaluate(f"[...document.querySelectorAll({place!r})].map((e) => e.textContent)")
            self.assertTrue(any(_HOSTILE in text for text in texts), place)
        for figure in ("pictures", "eigenvalues", "ranks", "overlap"):
            texts = self.page.evaluate(
                f"[...document.querySelectorAll('#figures-{figure} text')].map((e) => e.textContent)")
            self.assertTrue(any(text.startswith(_HOSTILE[:20]) for text in texts), f"{figure}: {texts}")

    def test_dark_figures_have_light_text(self):
        colour = "getComputedStyle(document.querySelector('#figures-eigenvalues .xtick text')).fill"
        self.assertEqual(self.page.evaluate(colour), "rgb(23, 33, 43)")
        self.assertEqual(self.dark.evaluate(colour), "rgb(228, 233, 237)")

    def test_figures_fit_the_paper_when_printed(self):
        self.page.evaluate("""addEventListener('beforeprint', () => {
          window.widths = [...document.querySelectorAll('.main-svg')].map((surface) => surface.clientWidth); })""")
        self.page.call("Page.printToPDF")
        self.assertLessEqual(max(self.page.evaluate("widths")), 680)
        self.assertEqual(self.page.evaluate("document.querySelector('.main-svg').clientWidth"), 944, "on the screen again")

    def test_offers_no_button_that_sends_data_away(self):
        titles = self.page.evaluate(
            "[...new Set([...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title))]")
        self.assertEqual(sorted(titles), ["Download plot as a PNG", "Pan", "Reset axes", "Zoom"])

    # What follows plants faults: a look that did not find them would show nothing.

    def test_finds_figures_that_are_not_drawn(self):
        found = self.planted({
            '"data":[{"colorbar"': '"data":[null,{"colorbar"',
            '"data":[{"hovertemplate"': '"nothing":[{"hovertemplate"'})
        self.assert_any("^console: figure figures-pictures: ", found)
        self.assertIn("figures-pictures is not drawn", found)
        self.assertIn("figures-eigenvalues is not drawn", found)

    def test_finds_what_the_policy_refuses_and_what_cannot_be_seen(self):
        found = self.planted({
            "<main>": """<main><script>document.title = 'changed'</script><img src="http://127.0.0.1:9/x.png">
                         <div style="width: 3000px">wide</div>""",
            "figcaption {": "figcaption { display: none;"})
        self.assert_any("^log: .*inline script.*Content Security Policy", found)
        self.assert_any("^log: .*http://127.0.0.1:9/x.png.*Content Security Policy", found)
        self.assertIn("figures-eigenvalues has no visible caption", found)
        self.assert_any(r"^the page is 3\d\d\d pixels wide in a window of 1200", found)

    def test_finds_requests_and_exceptions_when_there_is_no_policy(self):
        found = self.planted({"<main>": """<main><script>throw new Error('planted')</script>
                                           <img src="http://127.0.0.1:9/x.png">"""}, policy=False)
        self.assertIn("request: http://127.0.0.1:9/x.png", found)
        self.assert_any("^exception: Error: planted", found)


if __name__ == "__main__":
    make_bundle = sys.argv.pop(1)
    unittest.main()
