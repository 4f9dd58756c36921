"""Limits of Cloud Run for CPU, memory and concurrency; functions run on it.

Sources: "Configure CPU limits for services" (https://cloud.google.com/run/docs/configuring/services/cpu) and "Configure
memory limits for services" (https://cloud.google.com/run/docs/configuring/services/memory-limits).
"""

from __future__ import annotations

import re

from shared.toml_tables import Problem

# The minimum and maximum memory in MiB by whole vCPUs. Below one vCPU, any number of thousandths from 80 on is valid.
_MEMORY_LIMITS = {"1": (128, 4096), "2": (128, 8192), "4": (2048, 16384), "6": (4096, 24576), "8": (4096, 32768)}
_FRACTION = re.compile(r"0\.\d{1,3}")
_MIN_FRACTION = 0.08
_MEMORY = re.compile(r"([1-9]\d{0,4})(Mi|Gi)")


def check(table: str, cpu: str, memory: str, concurrency: int) -> None:
    """Raise Problem for a combination that Cloud Run refuses.

    Args:
        table: the table of the file that contains the keys.
        cpu: the vCPUs of an instance, such as "1" or "0.5".
        memory: the memory of an instance in binary units, such as "512Mi" or "2Gi".
        concurrency: the maximum number of concurrent requests of an instance.
    """
    is_fraction = _FRACTION.fullmatch(cpu) is not None and float(cpu) >= _MIN_FRACTION
    if not is_fraction and cpu not in _MEMORY_LIMITS:
        raise Problem(f"{table}.cpu", cpu, f"one of {', '.join(_MEMORY_LIMITS)}, or {_MIN_FRACTION} to 0.999")
    if is_fraction and concurrency > 1:
        expected = f"1 or more: less than one CPU allows one concurrent request, and concurrency is {concurrency}"
        raise Problem(f"{table}.cpu", cpu, expected)
    minimum, maximum = _MEMORY_LIMITS.get(cpu) or (128, 512 if float(cpu) < 0.5 else 1024)
    match = _MEMORY.fullmatch(memory)
    if not match or not minimum <= int(match[1]) * (1024 if match[2] == "Gi" else 1) <= maximum:
        raise Problem(f"{table}.memory", memory, f"{_format(minimum)} to {_format(maximum)}, since cpu is {cpu}")


def _format(mebibytes: int) -> str:
    return f"{mebibytes}Mi" if mebibytes % 1024 else f"{mebibytes // 1024}Gi"
