"""Regenerates the committed stubs of libs/contracts from proto/: `python tools/stubs.py [OUTPUT]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / "libs/contracts/src"


def generate(output: Path) -> None:
    """Write the Python stubs and their types of every contract below `output`."""
    protos = sorted(path.relative_to(ROOT / "proto").as_posix() for path in (ROOT / "proto").rglob("*.proto"))
    binaries = Path(sys.executable).parent
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={ROOT / 'proto'}",
        f"--plugin=protoc-gen-mypy={binaries / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={binaries / 'protoc-gen-mypy_grpc'}",
        f"--python_out={output}",
        f"--grpc_python_out={output}",
        f"--mypy_out=quiet:{output}",
        f"--mypy_grpc_out=quiet,generate_concrete_servicer_stubs:{output}",
        *protos,
    ]
    subprocess.run(command, check=True)
    for package in sorted({path.parent for path in output.rglob("*_pb2.py")}):
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
    # A file without a service needs no gRPC stub.
    for stub in output.rglob("*_pb2_grpc.py"):
        if "Stub(object)" not in stub.read_text() and "class " not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else STUBS)
