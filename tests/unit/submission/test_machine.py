"""What a machine says of itself, also where it says little."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.rounds import load_round
from harness.submission import machine
from harness.submission.machine import describe_machine
from harness.submission.system_description import system_errors

RULES = load_round("v2.0").submission
LSCPU = {
    "lscpu": [
        {
            "field": "Model name:",
            "data": "Some CPU",
            "children": [{"field": "Socket(s):", "data": "2"}, {"field": "L3 cache:", "data": "60 MiB (2 instances)"}],
        }
    ]
}


def answer(monkeypatch: pytest.MonkeyPatch, **answers: str) -> None:
    """Programs that answer with a text; all others are not there."""

    def run(command: tuple[str, ...], **_: Any) -> Any:
        if command[0] not in answers:
            raise FileNotFoundError(command[0])
        return subprocess.CompletedProcess(command, 0, answers[command[0]], "")

    monkeypatch.setattr("harness.submission.machine.subprocess.run", run)


def test_a_machine_without_lscpu_still_has_every_field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer(monkeypatch)
    monkeypatch.setattr(machine, "DISKS", tmp_path / "none")
    system = describe_machine(RULES, division="closed", submitter="Org")
    assert system_errors(system, RULES) == []
    assert system["host_processors_per_node"] == 1
    assert system["host_processor_caches"] == ""
    assert system["host_storage_type"] == ""
    assert system["host_storage_capacity"].endswith("iB")


def test_sockets_caches_and_gpus_are_what_the_programs_say(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = "NVIDIA H100, 81559 MiB\nNVIDIA H100, 81559 MiB\n"
    answer(monkeypatch, lscpu=json.dumps(LSCPU), **{"nvidia-smi": gpus})
    system = describe_machine(RULES, division="closed", submitter="Org")
    assert system["host_processor_model_name"] == "Some CPU"
    assert system["host_processors_per_node"] == 2
    assert system["host_processor_caches"] == "L3 60 MiB (2 instances)"
    assert system["accelerators_per_node"] == 2
    assert system["accelerator_model_name"] == "NVIDIA H100"
    assert system["accelerator_memory_capacity"] == "81559 MiB"


def test_disks_are_added_up_by_their_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer(monkeypatch)
    for name, sectors, rotates in (("nvme0n1", 2**31, 0), ("sda", 2**30, 1), ("loop0", 2**30, 0), ("sdb", 2**30, 1)):
        (tmp_path / name / "queue").mkdir(parents=True)
        (tmp_path / name / "size").write_text(f"{sectors}\n")
        (tmp_path / name / "queue" / "rotational").write_text(f"{rotates}\n")
    monkeypatch.setattr(machine, "DISKS", tmp_path)
    system = describe_machine(RULES)
    assert system["host_storage_type"] == "NVMe SSD, HDD"
    assert system["host_storage_capacity"] == "2 TiB"
