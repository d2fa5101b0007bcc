"""Where the explorer's built files are."""

from pathlib import Path


def static_dir() -> Path:
    """The folder with ``index.html`` and its assets: inside the wheel, or ``web/dist`` of an editable install.

    Raises:
        FileNotFoundError: The explorer was not built. ``python web/hatch_build.py`` builds it.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "static", here.parents[1] / "dist"):
        if (folder / "index.html").is_file():
            return folder
    msg = "the explorer is not built: run `python web/hatch_build.py`"
    raise FileNotFoundError(msg)
