"""Builds the C++ extensions and installs configs/ beside the package; everything else is in setup.cfg.

``optional=True``: where no compiler works the package still installs, and says at run time that it is without its
native postprocessor; a lane's tally is then Python's.
"""

import re
from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import find_packages, setup

NATIVE = Path("harness/native")
EXTENSIONS = {"_decode": "decoder", "_pipeline": "pipeline"}
"""Extension module of ``harness.native`` → the folder of its sources there."""

README = Path("README.md").read_text(encoding="utf-8")
WITHOUT_PICTURES = re.sub(r"^!\[[^]]*\]\([^)]*\)\n+", "", README, flags=re.MULTILINE)
DESCRIPTION = re.sub(r"\[([^]]*)\]\((?!\w+:)[^)]*\)", r"\1", WITHOUT_PICTURES)
"""The README for a package index, which does not have the pages that its links lead to: their texts stay."""

setup(
    long_description=DESCRIPTION,
    packages=[*find_packages(include=["harness", "harness.*"]), "harness.configs"],
    package_dir={"harness.configs": "configs"},
    # the sources of the extension too: `harness.source_code` is to be the same in a wheel and in a checkout
    package_data={
        "harness.configs": ["*.yaml", "*/*.yaml", "*/*.json"],
        "harness": ["py.typed", "native/*.pyi", "native/*.h", "native/*/*.h", "native/*/*.cpp", "report/templates/*"],
        "harness.model.ssd_resnet34": ["trained/*"],
    },
    ext_modules=[
        Pybind11Extension(
            f"harness.native.{name}",
            sorted(map(str, (NATIVE / folder).glob("*.cpp"))),
            depends=sorted(map(str, NATIVE.rglob("*.h"))),
            cxx_std=17,
            # No fused multiply-add: every machine and every path gives the same bits.
            extra_compile_args=["-O3", "-ffp-contract=off", "-Wall", "-Wextra"],
            optional=True,
        )
        for name, folder in EXTENSIONS.items()
    ],
    cmdclass={"build_ext": build_ext},
)
