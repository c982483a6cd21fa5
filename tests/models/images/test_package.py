import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_imports_no_torch() -> None:
    code = "import sys, models.images; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
