"""What Cloud Run takes of CPU, memory and concurrency together; functions run on it.

The figures are those of its documentation, "Configure CPU limits for services"
(https://cloud.google.com/run/docs/configuring/services/cpu) and "Configure memory limits for services"
(https://cloud.google.com/run/docs/configuring/services/memory-limits).
"""

from __future__ import annotations

import re

from shared.toml_tables import Problem

# MiB at least and at most, by vCPUs. Below one there may be any number of thousandths, from 80 on.
_WHOLE = {"1": (128, 4096), "2": (128, 8192), "4": (2048, 16384), "6": (4096, 24576), "8": (4096, 32768)}
_PART = re.compile(r"0\.\d{1,3}")
_LEAST_PART = 0.08
_MEMORY = re.compile(r"([1-9]\d{0,4})(Mi|Gi)")


def check(where: str, cpu: str, memory: str, concurrency: int) -> None:
    """Raise Problem for what Cloud Run would refuse.

    Args:
        where: the table of the file that has the keys.
        cpu: vCPUs of an instance, such as "1" or "0.5".
        memory: of an instance, in binary units, such as "512Mi" or "2Gi".
        concurrency: requests that it may have at once.
    """
    part = _PART.fullmatch(cpu) is not None and float(cpu) >= _LEAST_PART
    if not part and cpu not in _WHOLE:
        raise Problem(f"{where}.cpu", cpu, f"one of {', '.join(_WHOLE)}, or {_LEAST_PART} to 0.999")
    if part and concurrency > 1:
        expected = f"1 or more, since less than a CPU takes one request at a time and concurrency is {concurrency}"
        raise Problem(f"{where}.cpu", cpu, expected)
    least, most = _WHOLE.get(cpu) or (128, 512 if float(cpu) < 0.5 else 1024)
    found = _MEMORY.fullmatch(memory)
    if not found or not least <= int(found[1]) * (1024 if found[2] == "Gi" else 1) <= most:
        raise Problem(f"{where}.memory", memory, f"{_said(least)} to {_said(most)}, since cpu is {cpu}")


def _said(mebibytes: int) -> str:
    return f"{mebibytes}Mi" if mebibytes % 1024 else f"{mebibytes // 1024}Gi"
