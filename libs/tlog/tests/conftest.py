"""Trees, keys and witnesses of the tests are in `tlog_building.py` beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
