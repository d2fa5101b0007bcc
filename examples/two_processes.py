"""Two processes, one task: a desk asks an expert over HTTP. Headers carry the step, so the expert's work is inside the desk's.

AMS_TRANSPORT=console python examples/two_processes.py        # without a platform: a line for each step
"""

import subprocess
import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer

import ams

ams.init()


@ams.agent(version="1", description="Knows the opening hours.")
def expert(question: str) -> str:
    """Answer one question."""
    with ams.retrieval("opening hours", input={"query": question}) as step:
        step.output = "Tuesday to Sunday, 10 to 18"
    return "The museum opens at 10."


class Handler(BaseHTTPRequestHandler):
    """The expert's side: what runs in the block is inside the step that sent the headers."""

    def do_GET(self) -> None:
        with ams.extract(self.headers):
            answer = expert("When does the museum open?").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing."""


def serve() -> None:
    """Answer one request."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.handle_request()


@ams.tool
def ask_the_expert(port: int) -> str:
    """The desk's side: one line more than without tracing."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/", headers=ams.inject({}))
    return connection.getresponse().read().decode()


def desk() -> None:
    """Start the expert, ask, print the answer."""
    with subprocess.Popen([sys.executable, __file__, "expert"], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  this file
        port = int(process.stdout.readline() if process.stdout else 0)
        with ams.task("When does the museum open?", agent="desk") as task:
            task.output = ask_the_expert(port)
        print(task.output)


if __name__ == "__main__":
    serve() if "expert" in sys.argv else desk()
