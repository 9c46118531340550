"""A headless Chromium, driven by its DevTools protocol over two pipes. Python's library only."""

import base64
import collections
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

_FLAGS = [
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars",
]


class Chromium:
    """With it open, the browser runs; every wait ends after `deadline` seconds at the latest."""

    def __init__(self, deadline=60):
        self._program = shutil.which("chromium") or shutil.which("google-chrome")
        if not self._program:
            raise SystemExit("no chromium here: deploy/set-up --for=tests brings it")
        self._deadline = time.monotonic() + deadline
        self._buffer = b""
        self._last_id = 0
        self.events = collections.deque()

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands_in, self._commands = _pipe()
        self._answers, answers_out = _pipe()

        def take_pipes():  # the protocol is on descriptors 3 and 4
            os.dup2(commands_in, 3)
            os.dup2(answers_out, 4)

        self._log = open(os.path.join(self._folder.name, "log"), "wb")
        self._process = subprocess.Popen(
            [self._program, *_FLAGS, f"--user-data-dir={self._folder.name}/profile", "about:blank"],
            preexec_fn=take_pipes, pass_fds=(3, 4), stdout=self._log, stderr=self._log,
            env={**os.environ, "HOME": self._folder.name})
        os.close(commands_in)
        os.close(answers_out)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        self._log.close()
        self._folder.cleanup()

    def call(self, method, session=None, **params):
        """The result of one command; events that come before it are kept in `events`."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last_id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self):
        while b"\0" not in self._buffer:
            left = self._deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise TimeoutError("chromium does not answer in time")
            more = os.read(self._answers, 1 << 20)
            if not more:
                with open(self._log.name, "rb") as log:
                    raise RuntimeError("chromium ended: " + log.read()[-2000:].decode(errors="replace"))
            self._buffer += more
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


class Page:
    """One tab. Collects what went wrong in it: console errors, exceptions, refused or made requests."""

    def __init__(self, browser, width=1200, height=900, scheme="light"):
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def call(self, method, **params):
        return self._browser.call(method, session=self._session, **params)

    def open(self, path):
        """Until the report has drawn its figures, or says that it cannot."""
        self._url = "file://" + os.path.abspath(path)
        self.call("Page.navigate", url=self._url)
        self.evaluate("""new Promise((done) => {
          const look = () => document.body && (document.body.dataset.drawn || !document.querySelector('figure'))
              && document.readyState === 'complete' ? done() : setTimeout(look, 20);
          look();
        })""")

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "exception"))
        return answer["result"].get("value")

    def complaints(self):
        """Everything that a page without errors and without network does not do, in words."""
        return [text for event in self._browser.events if event.get("sessionId") == self._session
                for text in [self._complaint(event["method"], event["params"])] if text]

    def _complaint(self, method, params):
        if method == "Runtime.exceptionThrown":
            return "exception: " + params["exceptionDetails"]["exception"].get("description", "?")
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            return "console: " + " ".join(str(a.get("value", a.get("description"))) for a in params["args"])
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            return "log: " + params["entry"]["text"]
        if method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url != self._url and not url.startswith(("data:", "blob:")):
                return "request: " + url
        if method == "Page.javascriptDialogOpening":
            return "dialog: " + params["message"]
        return None

    def screenshot(self, path, height=None):
        """As PNG: the whole page, or its first `height` pixels."""
        clip = self.evaluate("({x: 0, y: 0, scale: 1, width: innerWidth, "
                             "height: document.documentElement.scrollHeight})")
        clip["height"] = height or clip["height"]
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))


def _pipe():
    """Both ends above 9, so that moving them to 3 and 4 overwrites neither."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved
