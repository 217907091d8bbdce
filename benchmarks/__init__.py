"""How fast, and how right. Where hexamer is not installed, its source beside this folder is used."""

import importlib.util
import os
import sys
from pathlib import Path

if importlib.util.find_spec("hexamer") is None:
    _SOURCE = str(Path(__file__).resolve().parent.parent / "src")
    sys.path.insert(0, _SOURCE)
    os.environ["PYTHONPATH"] = os.pathsep.join([_SOURCE, *filter(None, [os.environ.get("PYTHONPATH")])])  # of workers
