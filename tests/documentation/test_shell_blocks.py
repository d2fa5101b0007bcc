"""Commands of the documentation: they parse, their options exist, and what they install is what the platform serves."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator

import click
import msgspec
import pytest
from tests.documentation.blocks import BLOCKS, ROOT, Block

from ams.cli.commands import ams
from ams_local.wheels import build_wheel

SHELL = [block for block in BLOCKS if block.language == "sh"]
JSON = [block for block in BLOCKS if block.language == "json" and block.reason is None]
BUILTINS = {"export", ".", "cd", "for", "done", "random()"}
PROGRAMS = {"ams", "./ams", "curl", "pip", "python", "python3", "jq", *BUILTINS}
"""What a block may call; another program needs a reason why the block is not executed."""
EXTRAS = re.compile(r"ams-tracing\[([a-z,]+)\]")
WHEEL = re.compile(r"/sdk/(\S+\.whl)")


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command, without assignments before it. ``$(...)`` counts as a command of its own."""
    text = block.text.replace("\\\n", " ")
    inner = re.findall(r"\$\(([^)]+)\)", text)
    for line in [*re.sub(r"\$\([^)]+\)", "inner", text).splitlines(), *inner]:
        for part in re.split(r"\s(?:\|\|?|&&)\s", line):
            words = shlex.split(part, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield words


def test_the_shell_accepts_every_block() -> None:
    script = "\n".join(f"ignored_{number}() {{\n{block.text}\n}}" for number, block in enumerate(SHELL))

    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_a_block_calls_what_a_reader_has() -> None:
    foreign = {words[0]: block.place for block in SHELL if block.reason is None for words in commands(block) if words[0] not in PROGRAMS}

    assert foreign == {}


@pytest.mark.parametrize("block", [block for block in SHELL if "ams" in block.text], ids=lambda block: block.place)
def test_options_of_our_commands_exist(block: Block) -> None:
    for words in commands(block):
        if words[0] in ("ams", "./ams") and words[1:] and words[1] != "check":  # that one needs no click
            group = ams
            with click.Context(group) as context:
                command = group.get_command(context, words[1])
                assert command is not None, words
                command.make_context(words[1], words[2:], parent=context)  # fails for what it does not know


def test_what_pages_install_is_what_the_platform_serves(tmp_path) -> None:
    wheel = build_wheel(tmp_path)
    declared = set(tomllib.loads((ROOT / "sdk" / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
    pages = [*{block.page for block in BLOCKS}, "web/src/features/getting-started/lines.ts"]
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in pages}

    wheels = {name for text in texts.values() for name in WHEEL.findall(text) if "$" not in name}
    extras = {extra for text in texts.values() for found in EXTRAS.findall(text) for extra in found.split(",")}

    assert wheels == {wheel.name}
    assert extras <= declared


@pytest.mark.parametrize("block", JSON, ids=lambda block: block.place)
def test_json_is_json(block: Block) -> None:
    for line in [block.text] if block.text.lstrip().startswith(("{", "[")) else []:
        msgspec.json.decode(line)


def test_no_page_names_a_folder_of_the_machine_that_wrote_it() -> None:
    home = str(ROOT.parent)

    assert [block.place for block in BLOCKS if home in block.text and len(home) > 1] == []
