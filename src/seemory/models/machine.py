"""What of this machine decides how fast an encoder is: measurements made on another one are not believed."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from seemory.models.session import available_cores

# Those that decide how fast, or whether exactly, products of few bits are taken.
_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
    "bf16",
)
_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino")


def machine() -> dict[str, object]:
    """Processor, its instruction sets that matter, cores this process may use, GPUs, and the runtimes' versions."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "instructions": sorted(_instructions()),
        "cores": available_cores(),
        "gpus": _gpus(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def machine_id() -> str:
    """Twelve hexadecimal digits of `machine`, for the name of a file."""
    return hashlib.sha256(json.dumps(machine(), sort_keys=True).encode()).hexdigest()[:12]


def sums_of_8_bit_products_overflow() -> bool:
    """Whether unsigned by signed 8-bit products may saturate in 16 bits: on x86, unless VNNI is known to be there."""
    x86 = platform.machine().lower() in ("x86_64", "amd64", "x86", "i386", "i686")
    return x86 and not _instructions() & {"avx512_vnni", "avx_vnni"}


@lru_cache(maxsize=1)
def _processor() -> str:
    if name := _cpuinfo().get("model name"):
        return name
    if platform.system() == "Darwin":
        try:
            asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return platform.processor()


def _instructions() -> set[str]:
    known = _cpuinfo()
    return set(known.get("flags", known.get("Features", "")).split()) & set(_FLAGS)


@lru_cache(maxsize=1)
def _cpuinfo() -> Mapping[str, str]:
    """The first processor's block of Linux's /proc/cpuinfo; elsewhere nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = re.findall(r"^([^\t:\n]+?)\s*:[ \t]*(.*)$", text.split("\n\n")[0], re.MULTILINE)
    return dict(pairs)


@lru_cache(maxsize=1)
def _gpus() -> list[str]:
    """The models that NVIDIA's driver on Linux names; elsewhere nothing."""
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            found += re.findall(r"^Model:\s*(.+)$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        except OSError:
            continue
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
