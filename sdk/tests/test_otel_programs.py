"""``ams run`` on a program with the OpenAI client, in an environment that has the instrumentors of two families for it."""

import os
import subprocess
from pathlib import Path
from typing import Any

from tests.frameworks.programs import models, sdk_installed_in

from ams_local.environments import python_with

PROGRAM_SECONDS = 100.0
PROGRAM = """
from openai import OpenAI

answer = OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "What shall I wear?"}])
print(answer.usage.total_tokens)
"""


def test_the_calls_of_a_real_client_are_seen_once_with_their_tokens(intake: Any, tmp_path: Path) -> None:
    (tmp_path / "wardrobe.py").write_text(PROGRAM)
    python = python_with("instrumented")
    with models() as (model, _):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AMS_", "OTEL_", "PYTHON"))},
            "PYTHONPATH": sdk_installed_in(tmp_path / "installed"),
            "AMS_ENDPOINT": intake.url,
            "AMS_API_KEY": "ams_test",
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{model}/v1",
        }
        ended = subprocess.run(
            [python, "-m", "ams.cli.main", "run", "--", python, "wardrobe.py"],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False,
        )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    [span] = [span for span in intake.spans if span.end_time_unix_nano]
    values = {item.key: item.value for item in span.attributes}
    assert values["openinference.span.kind"].string_value == "LLM"
    assert values["llm.token_count.total"].int_value == int(ended.stdout)
    assert intake.services == {"wardrobe"}
    assert "opentelemetry-instrumentation-openai-v2 trace the same library; openinference-instrumentation-openai is used" in ended.stderr
    assert "already instrumented" not in ended.stderr
