"""The documentation site: staged, finished for the gateway's policy, and replaced at once."""

from pathlib import Path

import pytest

from ams_local import documentation


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(documentation, "DOCUMENTATION", tmp_path)
    monkeypatch.setattr(documentation, "SITE", tmp_path / "site")
    return tmp_path


def test_links_between_docs_and_the_root_fit_the_site(tmp_path: Path) -> None:
    documentation.stage(tmp_path)

    architecture = (tmp_path / "docs" / "architecture.md").read_text(encoding="utf-8")
    concepts = (tmp_path / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert "](mapping.md)" in architecture
    assert "](architecture.md)" in concepts
    assert (tmp_path / "docs" / "images" / "icon.svg").exists()


def test_inline_scripts_become_files(tmp_path: Path) -> None:
    (tmp_path / "assets" / "javascripts").mkdir(parents=True)
    (tmp_path / "page").mkdir()
    page = '<head><link rel="canonical" href="x"><script>a=1</script></head><script id="c" type="application/json">{}</script>'
    for path in ("page/index.html", "404.html"):
        (tmp_path / path).write_text(page, encoding="utf-8")

    documentation.finish(tmp_path)

    found = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    [script] = (tmp_path / "assets" / "javascripts").iterdir()
    assert (
        found
        == f'<head><script src="../assets/javascripts/{script.name}"></script></head><script id="c" type="application/json">{{}}</script>'
    )
    assert f'src="/docs/assets/javascripts/{script.name}"' in (tmp_path / "404.html").read_text(encoding="utf-8")
    assert script.read_text(encoding="utf-8") == "a=1"


def test_a_reader_sees_a_notice_until_there_is_a_build_and_then_keeps_the_build(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documentation.announce()
    before = (cache / "site" / "index.html").read_text(encoding="utf-8")

    def generate(work: Path, generator: Path) -> None:
        (work / "site" / "assets" / "javascripts").mkdir(parents=True)
        (work / "site" / "index.html").write_text("built", encoding="utf-8")

    monkeypatch.setattr(documentation, "_generate", generate)
    assert not documentation.is_current()
    built = documentation.build()
    documentation.announce()
    assert documentation.is_current()

    assert "is being built" in before
    assert (cache / "site" / "index.html").read_text(encoding="utf-8") == "built"
    monkeypatch.setattr(documentation, "_generate", lambda *_: pytest.fail("built again"))
    assert documentation.build() == built
