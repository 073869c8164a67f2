"""Servers of their own processes, for all tests that ask one."""

from served import start_served  # noqa: F401 - a fixture
