"""The checkout that this package is installed from, editable: `ams up` runs on it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
EXPLORER = ROOT / "web" / "dist"
DEMO = ROOT / "examples" / "demo" / "main.py"
DOCUMENTATION = ROOT / ".cache" / "docs"
BOOTSTRAP = ROOT / "ams"
