# The wheel of the package prill: prill.so beside a page of Python.  Made by
# "make wheel" in a copy of this directory that has prill.so in prill/.
# One wheel serves every Python 3 of this platform: the library knows SQLite's
# interface and not Python's.
from setuptools import setup
from wheel.bdist_wheel import bdist_wheel


class PlatformWheel(bdist_wheel):
    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


setup(
    name="prill",
    version="__PRILL_VERSION__",
    description="Kafka the SQLite way: topics, partitions and offsets in any SQLite database",
    license="MIT",
    packages=["prill"],
    package_data={"prill": ["prill.so"]},
    python_requires=">=3.7",
    cmdclass={"bdist_wheel": PlatformWheel},
)
